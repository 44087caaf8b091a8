"""SQL text of the relations everybody reads: hot slices and segment files under one name.

What must stay true: each relation has exactly the columns of ``store.physical`` (maps shown as
maps), whether anything is in it or not, and adds no row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from store.packing import is_packed, unpacked
from store.physical import STORED, map_columns
from store.statements import identifier, literal, sql


def rows_sql(table: str, tables: Sequence[str], files: Sequence[str], empty: str) -> str:
    """``SELECT`` over hot tables and Parquet files with the columns as stored; over ``empty`` if none."""
    columns = ", ".join(identifier(name) for name in STORED[table].names)
    parts = [f"SELECT {columns} FROM {name}" for name in tables]
    if plain := [path for path in files if not is_packed(path)]:
        parts.append(f"SELECT {columns} FROM {parquet_sql(plain)}")
    if packed := [path for path in files if is_packed(path)]:
        parts.append(f"SELECT {columns} FROM {unpacked(parquet_sql(packed))}")
    return " UNION ALL ".join(parts) if parts else f"SELECT {columns} FROM {empty}"


def parquet_sql(files: Sequence[str]) -> str:
    listed = ", ".join(literal(path) for path in files)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def shown_sql(table: str, rows: str) -> str:
    """Stored rows as users and queries see them: lists of entries become maps where they are selected."""
    shown = [f"{as_map(name)} AS {identifier(name)}" for name in map_columns(table)]
    if table == "spans":
        events = sql("schema/events_shown", attributes=as_map("event.attributes"))
        links = sql("schema/links_shown", attributes=as_map("link.attributes"))
        shown += [f"{events} AS events", f"{links} AS links"]
    if table == "metric_points":
        exemplars = sql("schema/exemplars_shown", attributes=as_map("exemplar.attributes"))
        shown.append(f"{exemplars} AS exemplars")
    replaced = f" REPLACE ({', '.join(shown)})" if shown else ""
    return f"SELECT *{replaced} FROM ({rows})"


def as_map(entries: str) -> str:
    return sql("schema/map_of", entries=entries).strip()


def empty_arrow(table: str) -> pa.Table:
    return STORED[table].empty_table()
