"""Flat key/value arrays → columns. The promoted keys become columns, the rest one map per row.

A list of key/value pairs per row arrives as three flat arrays: keys, values and the row each belongs
to. What must stay true: no Python statement per attribute (arrays, maps and bytes inside a value are
the rare exception, rendered once per distinct value); a key that is given twice counts once as a
column, the last one; every value is text, as JSON would print it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import limits
from collector.decode.text import clean, offsets_of, share_of, take, to_text
from collector.decode.wire import BrokenWire, any_value_json
from store.schema import TEXT_MAP

Parsed = tuple[pa.Array, "np.ndarray | None"]  # a column, and which values could not be read
TOO_LARGE = "sidelight.too_large"  # attribute: what stands instead of a map that is not repeated
_UNREADABLE = "(unreadable)"


class KnownKeys:
    """A fixed set of attribute keys that may become columns."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.index = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self.values = pa.array([key.encode() for key in self.index], pa.binary())

    def __len__(self) -> int:
        return len(self.index)


class AttributeTable:
    """The attributes of ``rows`` records, with the known ones found."""

    def __init__(self, lists: pa.ListArray, known: KnownKeys) -> None:
        self.dropped = np.zeros(len(lists), np.int64)
        counts = np.diff(offsets_of(lists))
        if counts.size and counts.max() > limits.ATTRIBUTES:
            self.dropped = np.maximum(counts - limits.ATTRIBUTES, 0)
            lists = pc.list_slice(lists, 0, limits.ATTRIBUTES, return_fixed_size_list=False)
            counts = np.diff(offsets_of(lists))
        entries = lists.flatten()
        self._known = known
        self.rows = len(lists)
        self.row_of = np.repeat(np.arange(self.rows, dtype=np.int32), counts)
        self.keys = entries.field("key")
        self.values = any_text(entries.field("value"))
        codes = pc.fill_null(pc.index_in(self.keys, known.values), -1).to_numpy()
        self._where = np.full((len(known) + 1, self.rows), -1, np.int32)
        self._where[codes, self.row_of] = np.arange(len(codes), dtype=np.int32)
        self._promoted = np.zeros(len(codes) + 1, bool)

    def positions(self, keys: Sequence[str]) -> np.ndarray:
        """Per row, where the first of ``keys`` that it has stands in the flat arrays; -1 for none."""
        found = self._where[self._known.index[keys[0]]]
        for key in keys[1:]:
            other = self._where[self._known.index[key]]
            found = np.where(found < 0, other, found)
        return found

    def peek(self, *keys: str) -> pa.StringArray:
        """The value of the first of ``keys`` a row has, null where it has none; it stays in the map."""
        return take(self.values, self.positions(keys))

    def promote(self, *keys: str) -> pa.StringArray:
        """Like `peek`, and leave these values out of the map."""
        positions = self.positions(keys)
        self.drop(positions)
        return take(self.values, positions)

    def promote_as(self, parse: Callable[[pa.StringArray], Parsed], *keys: str) -> pa.Array:
        """Promote what ``parse`` can read; what it cannot read stays in the map and is null here."""
        positions = self.positions(keys)
        column, failed = parse(take(self.values, positions))
        self.drop(positions if failed is None else positions[~failed])
        return column

    def drop(self, positions: np.ndarray) -> None:
        """Leave these flat positions (those not negative) out of the map."""
        self._promoted[positions] = True
        self._promoted[-1] = False  # the spare place that -1 falls on

    def rest(self, extra: Iterable[tuple[int, str, str]] = ()) -> pa.MapArray:
        """The map of what was not promoted, and of ``extra`` (row, key, value)."""
        chosen = np.flatnonzero(~self._promoted[:-1])
        whole = len(chosen) == len(self.row_of)
        rows = self.row_of if whole else self.row_of[chosen]
        keys = to_text(self.keys if whole else self.keys.take(pa.array(chosen)), limits.NAME_BYTES)
        values = self.values if whole else self.values.take(pa.array(chosen))
        added = list(extra)
        more = (
            np.array([entry[0] for entry in added], np.int32),
            pa.array([entry[1] for entry in added], pa.string()),
            pa.array([entry[2] for entry in added], pa.string()),
        )
        return merge_maps(self.rows, [(rows, keys, values), more])


def merge_maps(rows: int, parts: Sequence[tuple[np.ndarray, pa.Array, pa.Array]]) -> pa.MapArray:
    """One map per row from several flat (row numbers, keys, values), each sorted by row."""
    filled = [part for part in parts if len(part[0])]
    if not filled:
        return _map(rows, np.zeros(0, np.int32), pa.array([], pa.string()), pa.array([], pa.string()))
    if len(filled) == 1:
        return _map(rows, *filled[0])
    row_of = np.concatenate([part[0] for part in filled])
    order = np.argsort(row_of, kind="stable")
    keys = pa.concat_arrays([part[1] for part in filled]).take(pa.array(order))
    values = pa.concat_arrays([part[2] for part in filled]).take(pa.array(order))
    return _map(rows, row_of[order], keys, values)


def joined_maps(maps: Sequence[pa.MapArray]) -> pa.MapArray:
    """One map per row of several that are as long as each other."""
    parts = []
    for one in maps:
        offsets = offsets_of(one)
        rows = np.repeat(np.arange(len(one), dtype=np.int32), np.diff(offsets))
        parts.append((rows, *(flat[offsets[0] : offsets[-1]] for flat in (one.keys, one.items))))
    return merge_maps(len(maps[0]), parts)


def _map(rows: int, row_of: np.ndarray, keys: pa.Array, values: pa.Array) -> pa.MapArray:
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(np.bincount(row_of, minlength=rows), out=offsets[1:])
    return pa.MapArray.from_arrays(pa.array(offsets), keys, values, type=TEXT_MAP)


def attribute_maps(lists: pa.ListArray) -> tuple[pa.MapArray, np.ndarray]:
    """Every attribute of every row as a map, and how many each row lost to the limit."""
    table = AttributeTable(lists, _NOTHING)
    return table.rest(), table.dropped


def maps_or_null(maps: pa.MapArray) -> pa.MapArray:
    """Null instead of an empty map."""
    empty = np.diff(offsets_of(maps)) == 0
    if not empty.any():
        return maps
    if empty.all():
        return pa.nulls(len(maps), maps.type)
    return maps.take(pa.array(np.arange(len(maps)), mask=empty))


def spread_maps(maps: pa.MapArray, positions: np.ndarray) -> pa.MapArray:
    """`spread` for maps: one that is too large to repeat so often is replaced by an entry that says so."""
    if maps.null_count == len(maps):
        return pa.nulls(len(positions), maps.type)
    offsets = offsets_of(maps)
    ends = offsets_of(maps.keys).astype(np.int64) + offsets_of(maps.items)
    sizes = np.diff(ends[offsets])
    share = share_of(sizes, positions)
    if share is not None:
        large = np.flatnonzero(sizes > share)
        told = [
            [(TOO_LARGE, f"{sizes[at]} bytes of attributes, too many to repeat")] for at in large.tolist()
        ]
        which = np.arange(len(maps))
        which[large] = len(maps) + np.arange(len(large))
        maps = pa.concat_arrays([maps, pa.array(told, maps.type)]).take(pa.array(which))
    return take(maps, positions)


def any_text(values: pa.StructArray) -> pa.StringArray:
    """AnyValues as text: null where a value is absent or empty."""
    strings = values.field("string_value")
    text = to_text(strings)
    if strings.null_count == 0:
        return text
    parts = [text]
    for name in ("bool_value", "int_value", "double_value"):
        column = values.field(name)
        if column.null_count < len(column):
            parts.append(column.cast(pa.string()))
    for name, render in _RENDERED.items():
        column = values.field(name)
        if column.null_count < len(column):
            parts.append(render_distinct(column, render))
    return pc.coalesce(*parts) if len(parts) > 1 else text


def render_distinct(values: pa.Array, render: Callable[[bytes], str]) -> pa.StringArray:
    """Apply ``render`` once to each distinct non-null value; what it cannot read says so."""
    encoded = values.dictionary_encode()
    texts = [_rendered(value, render) for value in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _rendered(value: bytes, render: Callable[[bytes], str]) -> str:
    if len(value) > 4 * limits.TEXT_BYTES:
        return f"({len(value)} bytes, too many to show)"
    try:
        text = render(value)
    except (BrokenWire, ValueError, RecursionError):
        return _UNREADABLE
    return clean(text.encode("utf-8", "replace"), limits.TEXT_BYTES).decode()


_RENDERED: dict[str, Callable[[bytes], str]] = {
    "array_value": lambda raw: any_value_json(raw, "ArrayValue"),
    "kvlist_value": lambda raw: any_value_json(raw, "KeyValueList"),
    "bytes_value": lambda raw: base64.b64encode(raw).decode(),
}
_NOTHING = KnownKeys([])
