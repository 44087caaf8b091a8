"""Which OTLP log records are access logs of Envoy's, and their fields: from the body's line and from attributes.

Where both say something the attributes win. What must stay true: no Python statement per record; what became
no field is kept as an attribute (the record's own, ``body``, ``resource.KEY``); a record that only looks like a
line stays an ordinary log.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import identity
from collector.decode.access_log_fields import FIELDS, OWN_FIELDS, fields_table, join_fields, text_map
from collector.decode.access_log_json import KEYS, parse_json
from collector.decode.access_log_text import parse_text
from collector.decode.access_log_values import mask, plain, whole
from collector.decode.attributes import AttributeTable, joined_maps, merge_maps, spread_maps
from collector.decode.otlp import Opened
from collector.decode.text import offsets_of, take

TEXT = pa.string()
_TEXT_LINE = r'^\[\d{4}-\d\d-\d\dT[\d:.]+Z?\] "'
_JSON_LINE = r'^\s*\{.*"(?:start_time|response_flags|response_code_details)"'
_TEXT_FAMILIES = frozenset({"istio", "envoy"})
_WRITER_KEYS = pa.array(sorted(identity.WRITER_KEYS))

FIELD_KEYS = {name: KEYS[name] for name in FIELDS}
_PROXY_FIELDS = (
    *("flags", "flags_long", "details", "cluster", "upstream_host"),
    *("downstream_remote", "direct_remote"),
)
# A record is one by its attributes if it has both a code and one of the other keys only proxies use.
_CODE = KEYS["code"]
_PROXY_KEYS = tuple(key for name in _PROXY_FIELDS for key in KEYS[name])


def read_fields(
    opened: Opened, records: np.ndarray, table: AttributeTable, body: pa.StringArray
) -> tuple[pa.Table | None, np.ndarray]:
    """One row of fields per access log, ``line`` being its place among ``records``; and which of these are one."""
    taken = (table.positions(_CODE) >= 0) & (table.positions(_PROXY_KEYS) >= 0)
    said = _from_bodies(body)
    lines = said["line"].to_numpy()
    taken[lines] = True
    if not taken.any():
        return None, taken
    at = np.flatnonzero(taken)
    where = np.full(table.rows, -1, np.int64)
    where[lines] = np.arange(len(lines))
    where = where[at]
    unread = where < 0
    silent = _silent(table)
    columns = {}
    for name, keys in FIELD_KEYS.items():
        known = _text(said[name])
        values = known if known.null_count < len(known) else None
        if values is not None and unread.any():
            values = take(values, where)
        label = _label(table, keys, at, silent)
        if label is not None:
            values = _both(table, label, values, name)
        if values is not None:
            columns[name] = values
    for keys in identity.LOG_LABELS.values():
        table.drop(table.positions(keys)[at])
    rest = table.rest()
    maps = [rest if taken.all() else rest.take(pa.array(at))]
    if unread.any():
        bodies = pc.utf8_rtrim(body.take(pa.array(at, mask=~unread)), "\r\n")
        maps.append(text_map({"body": bodies}, len(at)))
    if (around := _resource_attributes(opened, records[at])) is not None:
        maps.append(around)
    return fields_table(columns, at, joined_maps(maps) if len(maps) > 1 else maps[0]), taken


def _from_bodies(body: pa.StringArray) -> pa.Table:
    """Fields of the bodies that are a line of text or JSON."""
    pieces = []
    for pattern, parse in (
        (_TEXT_LINE, lambda texts, lines: parse_text(texts, lines, _TEXT_FAMILIES)),
        (_JSON_LINE, parse_json),
    ):
        at = np.flatnonzero(mask(pc.match_substring_regex(body, pattern)))
        if len(at):
            texts = pc.utf8_trim(body.take(pa.array(at)), characters="\r\n")
            pieces.append(parse(texts, at).fields)
    return join_fields(pieces)


def _silent(table: AttributeTable) -> np.ndarray:
    """The mask of the entries that say nothing, and one for the entry -1, which is none. Envoy writes '-' for it."""
    return np.append(pc.fill_null(pc.equal(table.values, "-"), True).to_numpy(zero_copy_only=False), True)


def _label(
    table: AttributeTable, keys: tuple[str, ...], at: np.ndarray, silent: np.ndarray
) -> np.ndarray | None:
    """Of each row the entry of the first of ``keys`` that says something, -1 for none; None if no row has one.
    They leave the map."""
    found = None
    for key in keys:
        if table.shows(key):
            positions = table.positions((key,))[at]
            table.drop(positions)
            entries = table.entries_at(positions)
            entries = np.where(silent[entries], -1, entries)
            found = entries if found is None else np.where(found < 0, entries, found)
    return found if found is not None and (found >= 0).any() else None


def _both(table: AttributeTable, label: np.ndarray, values: pa.Array | None, name: str) -> pa.Array:
    """The labels, and where there is none the body's value. A dictionary, if rows are likely to share values."""
    if name in OWN_FIELDS:
        labels = take(table.values, label)
    else:
        encoded = pa.array(label, mask=label < 0).dictionary_encode()
        labels = pa.DictionaryArray.from_arrays(encoded.indices, table.values.take(encoded.dictionary))
    if values is None or (label >= 0).all():
        return labels
    merged = pc.coalesce(plain(labels), plain(values))
    return merged if name in OWN_FIELDS else merged.dictionary_encode()


def _resource_attributes(opened: Opened, records: np.ndarray) -> pa.MapArray | None:
    """What the records' resources say beside who writes, under ``resource.KEY``; None if none says anything."""
    maps = opened.resources["attributes"].combine_chunks()
    offsets = offsets_of(maps)
    keys, items = (flat[offsets[0] : offsets[-1]] for flat in (maps.keys, maps.items))
    others = pc.invert(pc.is_in(keys, _WRITER_KEYS))
    if not pc.any(others).as_py():
        return None
    rows = np.repeat(np.arange(len(maps), dtype=np.int32), np.diff(offsets))
    keys, items = pc.binary_join_element_wise("resource.", keys.filter(others), ""), items.filter(others)
    rows = rows[others.to_numpy(zero_copy_only=False)]
    return spread_maps(merge_maps(len(maps), [(rows, keys, items)]), opened.group_of(records))


def _text(values: pa.ChunkedArray) -> pa.Array:
    """Text, or a dictionary of texts."""
    array = whole(values)
    is_text = pa.types.is_string(array.type) or pa.types.is_dictionary(array.type)
    return array if is_text else array.cast(TEXT)
