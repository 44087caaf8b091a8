"""Small segments of an hour (of the rollup: of a day) → few larger ones: a question opens a file for each it meets.

What must stay true: no row is missing or doubled for any reader, at any crash. The new file names in its
metadata those it replaces; they stay on the disk until the catalogue's file, not only its log, lists the new one
(`store.retired`). As long as all of them are there, an unlisted new file is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq

from store.catalogue import Segment
from store.database import Cursor, one
from store.packing import file_name, packed
from store.physical import ROLLUPS
from store.relations import parquet_sql, rows_sql
from store.segments import put_in_place
from store.statements import literal, sql

PREFIX = "hour-"

_SMALL_ROWS = 250_000
_MERGED_ROWS = 1_000_000
_SETTLED = timedelta(minutes=5)
_REPLACES = b"replaces"


def hour_of(segment: Segment) -> datetime:
    """The hour of arrival, which its folder names (naive UTC)."""
    date, hour = Path(segment.path).parts[-3:-1]
    return datetime.strptime(f"{date} {hour}", "date=%Y-%m-%d hour=%H")


def mergeable(segments: list[Segment], now: datetime) -> list[Segment]:
    """The first group of small segments of one table and past hour that are better one; [] if there is none.

    ``now``: naive UTC.
    """
    return next(groups(segments, now), [])


def groups(segments: list[Segment], now: datetime) -> Iterator[list[Segment]]:
    """All such groups, each of two segments at least."""
    small = [
        segment for segment in segments if segment.rows < _SMALL_ROWS and _end_of(segment) + _SETTLED <= now
    ]
    small.sort(key=lambda segment: (_neighbourhood(segment), segment.earliest or datetime.max, segment.path))
    for _, neighbours in groupby(small, key=_neighbourhood):
        group: list[Segment] = []
        for segment in neighbours:
            if sum(one.rows for one in group) + segment.rows > _MERGED_ROWS:
                if len(group) > 1:
                    yield group
                group = []
            group.append(segment)
        if len(group) > 1:
            yield group


def _neighbourhood(segment: Segment) -> Path:
    """The folder of an hour; of the rollup, which gets a file an hour, that of a day."""
    return Path(segment.path).parents[segment.table in ROLLUPS]


def _end_of(segment: Segment) -> datetime:
    hour = hour_of(segment)
    return hour.replace(hour=0) + timedelta(days=1) if segment.table in ROLLUPS else hour + timedelta(hours=1)


def merge(cursor: Cursor, data_dir: Path, group: list[Segment], step: Callable[[str], None]) -> Segment:
    """Write ``group`` as one segment; durable when this returns, and listed nowhere yet. Raises duckdb errors."""
    first = group[0]
    paths = [segment.path for segment in group]
    name = f"{PREFIX}{blake2b('|'.join(paths).encode(), digest_size=8).hexdigest()}"
    relative = Path(first.path).with_name(file_name(first.table, name))
    files = [str(data_dir / path) for path in paths]
    if first.table in ROLLUPS:
        rows = parquet_sql(files)
    else:
        rows = packed(first.table, f"({rows_sql(first.table, [], files, '')})")

    def write(unfinished: Path) -> None:
        path, replaces = literal(str(unfinished)), literal(json.dumps(paths))
        group_rows = "61440" if first.table in ROLLUPS else "100000"
        (written,) = one(
            cursor.execute(
                sql("seal/compacted", rows=rows, path=path, replaces=replaces, group_rows=group_rows)
            )
        )
        if written != sum(segment.rows for segment in group):
            raise ValueError(
                f"{first.path} and {len(group) - 1} more hold {written} rows, not as many as sealed"
            )

    size = put_in_place(data_dir, relative, write, step)
    return Segment(
        first.table,
        str(relative),
        f"{name}.journal",
        sum(segment.rows for segment in group),
        size,
        min((segment.earliest for segment in group if segment.earliest), default=None),
        max((segment.latest for segment in group if segment.latest), default=None),
    )


def replaced_by(path: Path) -> list[str]:
    """The segments (paths below the data folder) whose rows this file took over; [] for one of a seal.

    Raises OSError or ArrowInvalid where the file cannot be read.
    """
    if not path.name.startswith(PREFIX):
        return []
    metadata = pq.read_metadata(path).metadata or {}
    return [str(one) for one in json.loads(metadata.get(_REPLACES, b"[]"))]
