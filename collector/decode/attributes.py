"""Flat key/value arrays → columns. The promoted keys become columns, the rest one map per row.

A list of key/value pairs per row is laid flat; most pairs are the same in every row, so that each distinct
one is opened once. What must stay true: no Python statement per attribute (arrays, maps and bytes inside a
value are the rare exception, rendered once per distinct value); a key that is given twice counts once as a
column, the last one; every value is text, as JSON would print it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import limits
from collector.decode.envelope import parse_distinct
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


@dataclass(frozen=True)
class Pairs:
    """The key/value pairs of rows: row n has the next ``counts[n]`` of the flat ones.

    The flat one at a place is ``entries[which[place]]``; ``which`` is None where they are the entries themselves.
    """

    entries: pa.StructArray
    counts: np.ndarray
    which: np.ndarray | None = None

    @classmethod
    def of(cls, lists: pa.ListArray) -> Pairs:
        """Pairs that were opened with their rows."""
        return cls(lists.flatten(), np.diff(offsets_of(lists)))

    @classmethod
    def opened(cls, message: str, lists: pa.ListArray, export_of: np.ndarray) -> Pairs:
        """Pairs that are raw bytes still, each distinct one opened once. Raises BrokenExports."""
        counts = np.diff(offsets_of(lists))
        rows, which = parse_distinct(message, lists.flatten(), np.repeat(export_of, counts))
        return cls(rows.to_struct_array(), counts, which)

    def of_flat(self) -> np.ndarray:
        """Which entry each flat pair is."""
        return np.arange(len(self.entries)) if self.which is None else self.which

    def filter(self, keep: np.ndarray) -> Pairs:
        """The pairs of the rows that ``keep`` marks."""
        return self._chosen(np.repeat(keep, self.counts), self.counts[keep])

    def first(self, limit: int) -> Pairs:
        """At most ``limit`` pairs of each row."""
        starts = np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
        return self._chosen(np.arange(len(starts)) - starts < limit, np.minimum(self.counts, limit))

    def _chosen(self, flat: np.ndarray, counts: np.ndarray) -> Pairs:
        if self.which is None:
            return Pairs(self.entries.filter(pa.array(flat)), counts)
        return Pairs(self.entries, counts, self.which[flat])


class AttributeTable:
    """The attributes of ``rows`` records, with the known ones found."""

    def __init__(self, pairs: Pairs, known: KnownKeys) -> None:
        self.dropped = np.zeros(len(pairs.counts), np.int64)
        if pairs.counts.size and pairs.counts.max() > limits.ATTRIBUTES:
            self.dropped = np.maximum(pairs.counts - limits.ATTRIBUTES, 0)
            pairs = pairs.first(limits.ATTRIBUTES)
        self._known = known
        self.rows = len(pairs.counts)
        self._row_of = np.repeat(np.arange(self.rows, dtype=np.int32), pairs.counts)
        self._keys = pairs.entries.field("key")
        self._values = any_text(pairs.entries.field("value"))
        flat = len(self._row_of)
        self._which = None if pairs.which is None else np.append(pairs.which, -1)  # at -1 there is none
        codes = pc.fill_null(pc.index_in(self._keys, known.values), -1).to_numpy()
        # Of the known keys only those that occur get a line of places; the last is where the others fall.
        lines = np.full(len(known) + 1, -1)
        shown = np.unique(codes[codes >= 0])
        lines[shown] = np.arange(len(shown))
        self._lines = lines
        self._where = np.full((len(shown) + 1, self.rows), -1, np.int32)
        line_of = lines[codes] if pairs.which is None else lines[codes][pairs.which]
        self._where[line_of, self._row_of] = np.arange(flat, dtype=np.int32)
        self._where[-1] = -1
        self._promoted = np.zeros(flat + 1, bool)

    @property
    def values(self) -> pa.StringArray:
        """What `entries_at` numbers."""
        return self._values

    def shows(self, key: str) -> bool:
        """Whether some row has ``key``."""
        return bool(self._lines[self._known.index[key]] >= 0)

    def positions(self, keys: Sequence[str]) -> np.ndarray:
        """Per row, where the first of ``keys`` that it has stands in the flat arrays; -1 for none."""
        lines = [line for key in keys if (line := self._lines[self._known.index[key]]) >= 0]
        found = self._where[lines[0] if lines else -1]
        for line in lines[1:]:
            found = np.where(found < 0, self._where[line], found)
        return found

    def entries_at(self, positions: np.ndarray) -> np.ndarray:
        """A number for each of these flat positions: where it is the same, so is the value; -1 for none."""
        return positions if self._which is None else self._which[positions]

    def at(self, positions: np.ndarray) -> pa.StringArray:
        """The values at these flat positions, null where one is negative."""
        return take(self._values, self.entries_at(positions))

    def peek(self, *keys: str) -> pa.StringArray:
        """The value of the first of ``keys`` a row has, null where it has none; it stays in the map."""
        return self.at(self.positions(keys))

    def promote(self, *keys: str) -> pa.StringArray:
        """Like `peek`, and leave these values out of the map."""
        positions = self.positions(keys)
        self.drop(positions)
        return self.at(positions)

    def promote_as(self, parse: Callable[[pa.StringArray], Parsed], *keys: str) -> pa.Array:
        """Promote what ``parse`` can read; what it cannot read stays in the map and is null here."""
        positions = self.positions(keys)
        column, failed = parse(self.at(positions))
        self.drop(positions if failed is None else positions[~failed])
        return column

    def drop(self, positions: np.ndarray) -> None:
        """Leave these flat positions (those not negative) out of the map."""
        self._promoted[positions] = True
        self._promoted[-1] = False  # the spare place that -1 falls on

    def rest(self, extra: Iterable[tuple[int, str, str]] = ()) -> pa.MapArray:
        """The map of what was not promoted, and of ``extra`` (row, key, value)."""
        keys, values = to_text(self._keys, limits.NAME_BYTES), self._values
        chosen = np.flatnonzero(~self._promoted[:-1])
        rows = self._row_of
        if len(chosen) < len(rows):
            rows = rows[chosen]
            keys, values = (column.take(pa.array(self.entries_at(chosen))) for column in (keys, values))
        elif self._which is not None:
            keys, values = (column.take(pa.array(self._which[:-1])) for column in (keys, values))
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
    table = AttributeTable(Pairs.of(lists), _NOTHING)
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
