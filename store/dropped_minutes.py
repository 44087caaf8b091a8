"""Minutes of which rows are kept no longer: percentiles of a window that holds one come from the rollup.

What must stay true: a minute is listed in the transaction that takes a file with rows of it off the list; it is
told by the rows themselves where they can be read (one row of 1970 must not make an age of it).
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from store.catalogue import Segment
from store.database import Cursor, arrow_relations
from store.physical import ROLLED_UP
from store.statements import sql


def minutes_of(data_dir: Path, segments: list[Segment]) -> pa.Table:
    """The distinct minutes of those rows in ``segments`` that the rollup counts, as far as they can be read."""
    found = [_minutes(data_dir / one.path) for one in segments if one.table in ROLLED_UP]
    return pa.table({"minute": pc.unique(pa.chunked_array(found, pa.timestamp("us")))})


def _minutes(path: Path) -> pa.Array:
    try:
        times = pq.read_table(path, columns=["time"])["time"].cast(pa.timestamp("us"))
        return pc.unique(pc.floor_temporal(times, unit="minute"))
    except (OSError, pa.ArrowException):
        return pa.array([], pa.timestamp("us"))


def note_dropped(cursor: Cursor, minutes: pa.Table) -> None:
    """List ``minutes``, within the caller's transaction."""
    with arrow_relations(cursor, incoming=minutes):
        cursor.execute(sql("seal/dropped_minutes", minutes="from incoming"))


def note_lost(cursor: Cursor, segments: list[Segment]) -> None:
    """List every counted minute in which ``segments``, which cannot be read, may have had rows."""
    for one in segments:
        if one.table in ROLLED_UP and one.earliest is not None and one.latest is not None:
            between = {"earliest": one.earliest, "latest": one.latest}
            cursor.execute(sql("seal/dropped_minutes", minutes=sql("seal/minutes_between")), between)
