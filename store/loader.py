"""Journal → hot: whole frames in, rows in the journal's slice, their peers and identities learned.

What must stay true: the rows of a read and the offset behind them are kept together (one
transaction, then the offset); an export kept before is dropped whole; no Python per row.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.database import Cursor, arrow_relations, to_arrow, transaction
from store.digests import DeliveredBook
from store.frames import Batch, ExportMark
from store.hot import HotTable, Slice
from store.metric_series import add_series_keys
from store.physical import ROW_TABLES, STORED
from store.registry import learn
from store.statements import sql

_KEYED = {"observations": "load/observation_peers", "spans": "load/span_peers"}


@dataclass
class Tick:
    """What one read of a journal brings: tables ready for DuckDB, and the exports they came from."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    identities: pa.Table | None = None
    kept: list[ExportMark] = field(default_factory=list)
    repeated: int = 0

    def rows(self) -> int:
        return sum(table.num_rows for table in self.tables.values())


def load_batches(
    cursor: Cursor,
    slice_: Slice,
    batches: list[Batch],
    book: DeliveredBook,
    lock: AbstractContextManager[object],
    committed: Callable[[], None],
) -> Tick:
    """Insert the new exports of ``batches``; ``committed`` is called right after, under ``lock``.

    Raises whatever DuckDB raises, and then nothing of the batches is kept.
    """
    tick, resources = _assemble(batches, book)
    with transaction(cursor):
        _add_resource_keys(cursor, tick, resources)
        counts = [_add_peer_keys(cursor, name, tick) for name in _KEYED if name in tick.tables]
        if "metric_points" in tick.tables:
            _add_series_keys(cursor, tick)
        widened = [_insert(cursor, slice_, name, table) for name, table in tick.tables.items()]
        created_activity = _insert_activity(cursor, slice_, counts)
        if tick.identities is not None:
            learn(cursor, tick.identities)
    with lock:
        for hot_table, name, rows, earliest, latest in widened:
            hot_table.widen(rows, earliest, latest)
            slice_.tables[name] = hot_table
        if created_activity is not None:
            slice_.tables["activity"] = created_activity
        book.keep(slice_.journal, tick.kept)
        committed()
    return tick


def _assemble(batches: list[Batch], book: DeliveredBook) -> tuple[Tick, list[pa.Table]]:
    """One table per kind over all batches. ``resource`` becomes a row number in all resources joined."""
    tick = Tick()
    pieces: dict[str, list[pa.Table]] = {}
    resources: list[pa.Table] = []
    resources_before = 0
    seen: dict[str, ExportMark] = {}
    for batch in batches:
        fresh: list[bool] = []
        for mark in batch.exports:
            fresh.append(not _is_among(seen, mark, book) and not book.is_repeated(mark))
            if fresh[-1]:
                tick.kept.append(mark)
                seen[mark.digest] = mark
        repeated = fresh.count(False)
        tick.repeated += repeated
        for name, table in batch.tables.items():
            rows = _only_fresh(table, fresh) if repeated and name != "resources" else table
            if name == "resources":
                resources.append(rows)
            elif rows.num_rows:
                pieces.setdefault(name, []).append(_with_resource_row(rows, batch, resources_before))
        described = batch.tables.get("resources")
        resources_before += described.num_rows if described is not None else 0
    if "identities" in pieces:
        tick.identities = pa.concat_tables(pieces.pop("identities"))
    # In one piece: DuckDB makes a batch of every chunk it is given, with blocks of its own for each column.
    tick.tables = {
        name: pa.concat_tables(tables).combine_chunks()
        for name, tables in pieces.items()
        if name in ROW_TABLES
    }
    return tick, resources


def _is_among(seen: dict[str, ExportMark], mark: ExportMark, book: DeliveredBook) -> bool:
    earlier = seen.get(mark.digest)
    return earlier is not None and book.are_one_delivery(earlier, mark)


def _only_fresh(table: pa.RecordBatch | pa.Table, fresh: list[bool]) -> pa.Table:
    return table.filter(pc.take(pa.array(fresh), table["export"]))


def _with_resource_row(table: pa.Table, batch: Batch, before: int) -> pa.Table:
    """Replace ``resource`` (a value of the batch's ``resources.resource``) by ``resource_row``."""
    if "resource" not in table.column_names:
        return table.drop_columns(["export"])
    described = batch.tables.get("resources")
    wanted = table["resource"].combine_chunks()
    if described is None:
        rows = pa.nulls(table.num_rows, pa.int64())
    else:
        rows = pc.add(pc.index_in(wanted, described["resource"].combine_chunks()).cast(pa.int64()), before)
    return table.drop_columns(["export", "resource"]).append_column("resource_row", rows)


def _add_resource_keys(cursor: Cursor, tick: Tick, resources: list[pa.Table]) -> None:
    keys = _resource_keys(cursor, resources) if resources else pa.nulls(0, pa.uint64())
    for name, table in tick.tables.items():
        if "resource_row" in table.column_names:
            taken = pc.take(keys, table["resource_row"])
            tick.tables[name] = table.drop_columns(["resource_row"]).append_column("resource_key", taken)


def _resource_keys(cursor: Cursor, resources: list[pa.Table]) -> pa.Array:
    joined = pa.concat_tables(resources)
    joined = joined.append_column("position", pa.array(np.arange(joined.num_rows)))
    with arrow_relations(cursor, incoming=joined):
        keyed = to_arrow(cursor.execute(sql("load/resource_keys")))
    with arrow_relations(cursor, incoming=keyed):
        cursor.execute(sql("load/new_resources", resources="hot.resources"))
    return keyed["resource_key"].combine_chunks()


def _insert(
    cursor: Cursor, slice_: Slice, name: str, table: pa.Table
) -> tuple[HotTable, str, int, datetime | None, datetime | None]:
    hot_table = slice_.tables.get(name) or HotTable(slice_.relation(name))
    if hot_table.rows == 0:
        cursor.execute(f"CREATE OR REPLACE TABLE {hot_table.relation} AS FROM hot.empty_{name} LIMIT 0")
    columns = ", ".join(f'"{column}"' for column in STORED[name].names)
    with arrow_relations(cursor, incoming=table):
        # What returns rows is inserted by one thread. Several threads, for one chunk, cost twice the processor.
        cursor.execute(f"INSERT INTO {hot_table.relation} SELECT {columns} FROM incoming RETURNING 1")
    span = pc.min_max(table["time"]).as_py()
    return hot_table, name, table.num_rows, span["min"], span["max"]


def _add_peer_keys(cursor: Cursor, name: str, tick: Tick) -> pa.Table:
    """Give the tick's rows their ``peer_key`` and learn peers met first; the rows per minute and peer."""
    table = tick.tables[name]
    with arrow_relations(cursor, incoming=table):
        keys = to_arrow(cursor.execute(sql("load/peer_keys", keyed=sql(_KEYED[name], rows="incoming"))))
    tick.tables[name] = keyed = table.append_column("peer_key", keys["peer_key"])
    with arrow_relations(cursor, incoming=keyed):
        counts = to_arrow(cursor.execute(sql("load/peer_counts", rows="incoming")))
    with arrow_relations(cursor, counts=counts):
        unknown = to_arrow(cursor.execute(sql("load/unknown_peers", peers="hot.peers")))
    if unknown.num_rows:
        new = table.filter(pc.is_in(keys["peer_key"], value_set=unknown["peer_key"]))
        with arrow_relations(cursor, incoming=new):
            samples = sql("load/peer_samples", keyed=sql(_KEYED[name], rows="incoming"))
            parts = sql("load/peer_parts", inputs=f"({samples})")
            cursor.execute(sql("load/new_peers", peers="hot.peers", parts=parts))
    return counts


def _add_series_keys(cursor: Cursor, tick: Tick) -> None:
    """Give metric points their ``series_key``, learn series met first, and who reported them."""
    tick.tables["metric_points"], told = add_series_keys(cursor, tick.tables["metric_points"])
    if told.num_rows:
        tick.identities = told if tick.identities is None else pa.concat_tables([tick.identities, told])


def _insert_activity(cursor: Cursor, slice_: Slice, counts: list[pa.Table]) -> HotTable | None:
    joined = pa.concat_tables(counts) if counts else None
    if joined is None or not joined.num_rows:
        return None
    activity = slice_.tables.get("activity")
    if activity is None:
        activity = HotTable(slice_.relation("activity"))
        cursor.execute(f"CREATE OR REPLACE TABLE {activity.relation} AS FROM hot.empty_activity LIMIT 0")
    with arrow_relations(cursor, counts=joined):
        cursor.execute(sql("load/activity", activity=activity.relation, counts="counts"))
    return activity
