"""The rollup of past hours as segments: the catalogue keeps what is recent, so that a seal copies little.

What must stay true: catalogue and files together hold each count once, at every commit. A file is a copy of what the
catalogue held: one that no list names is not needed. Rows leave the catalogue only when the spans of their hours
are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from store.catalogue import Segment, read_segments, record_segments
from store.database import Cursor, one
from store.physical import ROLLED_UP, ROLLUPS
from store.relations import parquet_sql
from store.retired import read_retired, retire
from store.rollup import SETTLED, count_minutes
from store.segments import put_in_place
from store.statements import literal, sql

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_BEGIN = datetime(1, 1, 1)


def settled_until(now: datetime) -> datetime:
    """The hour up to which the rollup may leave the catalogue at ``now`` (naive UTC)."""
    return (now - SETTLED).replace(minute=0, second=0, microsecond=0)


def write_past(cursor: Cursor, data_dir: Path, until: datetime, step: Callable[[str], None]) -> list[Segment]:
    """Write what ends by ``until`` as segments; durable when this returns, and listed nowhere yet.

    What is more than a day older came late, from anywhere: it gets files of its own, so that the others are
    told by their times. Raises duckdb errors, OSError.
    """
    written = []
    for since, before in ((_BEGIN, until - _DAY), (until - _DAY, until)):
        for table in ROLLUPS:
            between = {"since": since, "before": before}
            rows, earliest, latest = one(cursor.execute(_of("seal/past_counts", table), between))
            if rows:
                path, size = _write(cursor, data_dir, table, between, step)
                written.append(
                    Segment(table, str(path), f"{path.stem}.journal", rows, size, earliest, latest)
                )
    return written


def _write(
    cursor: Cursor, data_dir: Path, table: str, between: dict[str, datetime], step: Callable[[str], None]
) -> tuple[Path, int]:
    hour = between["before"] - _HOUR
    folder = Path("segments", table, f"date={hour:%Y-%m-%d}", f"hour={hour:%H}")
    # What failed before its commit, on a full disk, is written over: only names that are listed are taken.
    taken = {one.path for one in read_segments(cursor)} | read_retired(cursor)
    path = next(one for n in count() if str(one := folder / f"rollup-{n}.parquet") not in taken)

    def write(unfinished: Path) -> None:
        cursor.execute(_of("seal/past_written", table, path=literal(str(unfinished))), between)

    return path, put_in_place(data_dir, path, write, step)


def forget_past(cursor: Cursor, written: list[Segment], until: datetime, now: datetime) -> None:
    """List ``written`` and take their rows out of the catalogue, within the caller's transaction."""
    record_segments(cursor, written, now)
    for table in ROLLUPS:
        cursor.execute(_of("seal/past_forgotten", table), {"until": until})


def _of(statement: str, table: str, **fragments: str) -> str:
    begin, length = ROLLUPS[table]
    return sql(statement, counts=table, begin=begin, length=length, **fragments)


def everywhere(table: str, data_dir: Path, segments: Sequence[Segment]) -> str:
    """A relation: ``table`` of the catalogue and of those of ``segments`` that are its files."""
    files = [str(data_dir / one.path) for one in segments if one.table == table]
    parts = [f"FROM catalogue.{table}"] + ([f"FROM {parquet_sql(files)}"] if files else [])
    return f"({' UNION ALL '.join(parts)})"


def count_lost(
    cursor: Cursor, data_dir: Path, lost: Segment, segments: list[Segment], now: datetime
) -> list[Segment]:
    """What a ``lost`` file of the rollup held, counted again: from rows, or for merged spans (by and by) from minutes.

    Within the transaction that takes it off the list; ``segments`` are those that can be read. Returns the files of
    the same times, whose rows went back to the catalogue. Counts of rows that are kept no longer are not to be had.
    """
    between = {"earliest": lost.earliest, "latest": lost.latest}
    if lost.table == "edges_merged" and lost.earliest and lost.latest:  # whole days: spans lie within one
        midnight = lost.earliest.replace(hour=0, minute=0, second=0, microsecond=0)
        last = lost.latest.replace(hour=23, minute=59, second=59, microsecond=999999)
        between = {"earliest": midnight, "latest": last}
    met = [one for one in segments if _meets(one, between["earliest"], between["latest"])]
    others = [one for one in met if one.table == lost.table]
    for other in others:
        cursor.execute(f"INSERT INTO catalogue.{lost.table} FROM {parquet_sql([str(data_dir / other.path)])}")
    retire(cursor, others, now)
    if lost.table == "edges_merged":
        for statement in ("seal/unmerge_spans", "seal/forget_spans"):
            cursor.execute(sql(statement), between)
        return others
    cursor.execute(sql("seal/forget_kept_minutes"), between)
    for segment in met:
        if segment.table in ROLLED_UP:
            rows = parquet_sql([str(data_dir / segment.path)])
            counted = rows if segment.table == "observations" else sql("seal/span_rows", rows=rows)
            count_minutes(cursor, sql("seal/rows_of_kept_minutes", rows=counted), between)
    return others


def _meets(one: Segment, earliest: datetime | None, latest: datetime | None) -> bool:
    if one.earliest is None or one.latest is None or earliest is None or latest is None:
        return False
    return one.earliest <= latest and one.latest >= earliest
