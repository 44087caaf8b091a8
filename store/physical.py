"""The tables as the store keeps them: hot slices and Parquet segments have exactly these columns.

What must stay true: every physical column has the layout of the collector's Arrow column of the
same name, so that a journal's bytes go to DuckDB without a copy. Maps are kept as lists of
key/value structs: DuckDB checks every key of a map it takes in (5.7 µs a row against 0.4), and
refuses the whole batch for one doubled key. Readers see maps again (``store/relations.py``).
"""

from __future__ import annotations

import pyarrow as pa

from store.schema import TABLES

ROW_TABLES = ("observations", "spans", "logs", "metric_points", "rejects")
"""Tables whose rows go to hot slices and segments; the other two fill dictionaries."""

ROLLUPS = {"edges_1m": ("minute", "1"), "edges_merged": ("since", "span_minutes")}
"""The rollup's tables: the column where a row's time begins, and its minutes. What is past lies in segments too
(``store/rollup_files.py``)."""

ROLLED_UP = ("observations", "spans")
"""Those that ``edges_1m`` counts when they are sealed; until then they are ``…_unsealed``."""

_ADDED = {
    "observations": [("peer_key", pa.uint64())],
    "spans": [("resource_key", pa.uint64()), ("peer_key", pa.uint64())],
    "logs": [("resource_key", pa.uint64())],
    "metric_points": [("resource_key", pa.uint64()), ("series_key", pa.uint64())],
    "rejects": [],
}


def without_maps(kind: pa.DataType) -> pa.DataType:
    """The type with every map, at any depth, as a list of its entries (same buffers)."""
    if pa.types.is_map(kind):
        entry = pa.struct(
            [
                pa.field("key", without_maps(kind.key_type), nullable=False),
                pa.field("value", without_maps(kind.item_type)),
            ]
        )
        return pa.list_(pa.field("entries", entry, nullable=False))
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(without_maps(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(without_maps(field.type)) for field in kind])
    return kind


WIRE: dict[str, pa.Schema] = {
    name: pa.schema([field.with_type(without_maps(field.type)) for field in schema])
    for name, schema in TABLES.items()
}
"""The journal's schemas, maps as lists: what ``decode_frames`` is asked for."""

STORED: dict[str, pa.Schema] = {
    name: pa.schema(
        [field for field in WIRE[name] if field.name not in ("export", "resource")]
        + [pa.field(*added) for added in _ADDED[name]]
    )
    for name in ROW_TABLES
}
"""Columns of slices and segments."""


def map_columns(table: str) -> list[str]:
    """Top-level columns of ``table`` that are maps for readers."""
    return [field.name for field in TABLES[table] if pa.types.is_map(field.type)]
