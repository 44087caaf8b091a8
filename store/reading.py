"""A reader's temp views over hot slices and segments, for one window of time.

What must stay true: the views hold every row of the window (and may hold others), in the columns
``store.physical`` names, maps as maps.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from store.catalogue import Segment
from store.database import Cursor
from store.hot import Slice, overlaps
from store.physical import ROLLED_UP, ROLLUPS, ROW_TABLES
from store.registry import RESOLVED
from store.relations import parquet_sql, rows_sql, shown_sql
from store.settings import StoreSettings
from store.statements import literal

_MARGIN = timedelta(minutes=10)
"""Counts per minute are looked up around the window: does a caller report at all, did it some minutes ago?"""
_POINTS_MARGIN = timedelta(minutes=8)
"""A counter's increment needs the point before it: `metric_increments` and `metric_counted` look that far."""
_HALVES = timedelta(minutes=4)
"""The other half of an application's span is looked for five minutes around; a reader has one already."""
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_CLOCKS = timedelta(minutes=4)
"""A row that hides its caller is looked for among its callers' as far as two clocks may differ; as above."""
_AROUND = {"metric_points": _POINTS_MARGIN, "spans": _HALVES, "observations": _CLOCKS}


def open_views(
    cursor: Cursor,
    settings: StoreSettings,
    slices: list[Slice],
    segments: list[Segment],
    from_time: datetime | None,
    to_time: datetime | None,
) -> None:
    """Create the temp views on ``cursor``, inside its transaction."""
    start, end = naive_utc(from_time), naive_utc(to_time)
    views = []
    for table in ROW_TABLES:
        around = _AROUND.get(table, timedelta(0))
        since, until = _shifted(start, -around), _shifted(end, around)
        hot = [
            one.tables[table].relation
            for one in slices
            if table in one.tables and one.tables[table].overlaps(since, until)
        ]
        files = [
            str(settings.data_dir / one.path)
            for one in in_window(segments, since, until)
            if one.table == table
        ]
        views.append((f"{table}_stored", rows_sql(table, hot, files, f"hot.empty_{table}")))
        # How maps are made of nothing need not be planned, by each statement that mentions the view.
        shown = shown_sql(table, f"FROM {table}_stored") if hot or files else f"FROM hot.empty_{table}_shown"
        views.append((f"{table}_raw", shown))
        if table in ROLLED_UP:
            views.append((f"{table}_unsealed", rows_sql(table, hot, [], f"hot.empty_{table}")))
            cut = [
                str(settings.data_dir / one.path)
                for one in segments
                if one.table == table and _is_cut(one, start, end)
            ]
            views.append((f"{table}_cut", rows_sql(table, hot, cut, f"hot.empty_{table}")))
    views += [
        ("resources", shown_sql("resources", "FROM hot.resources")),
        ("peers", "FROM hot.peers"),
        ("series", "FROM hot.series"),
        *((name, f"FROM hot.{name}") for name in RESOLVED),
        ("activity", _activity_sql(slices, start, end)),
        ("dropped_minutes", "FROM catalogue.dropped_minutes"),
        ("merged_minutes", "FROM catalogue.merged_minutes"),
        *((name, _rollup_sql(name, settings, segments, start, end)) for name in ROLLUPS),
    ]
    cursor.execute(";\n".join(f"CREATE TEMP VIEW {name} AS {text}" for name, text in views))


def _is_cut(segment: Segment, start: datetime | None, end: datetime | None) -> bool:
    """May it hold rows of the first or last minutes of the window? A reader has a minute more on either side."""
    ends = [(start, _shifted(start, 2 * _MINUTE)), (_shifted(end, -2 * _MINUTE), end)]
    return any(overlaps(segment.earliest, segment.latest, since, until) for since, until in ends)


def in_window(segments: list[Segment], start: datetime | None, end: datetime | None) -> list[Segment]:
    """Those that may hold rows of [start, end)."""
    start, end = naive_utc(start), naive_utc(end)
    return [one for one in segments if overlaps(one.earliest, one.latest, start, end)]


def _rollup_sql(
    table: str, settings: StoreSettings, segments: list[Segment], start: datetime | None, end: datetime | None
) -> str:
    files = [
        str(settings.data_dir / one.path) for one in in_window(segments, start, end) if one.table == table
    ]
    length = _DAY if table == "edges_merged" else _MINUTE
    parts = [f"FROM catalogue.{table}{_times(start, end, length, ROLLUPS[table][0])}"]
    return " UNION ALL ".join(parts + ([f"FROM {parquet_sql(files)}"] if files else []))


def _activity_sql(slices: list[Slice], start: datetime | None, end: datetime | None) -> str:
    parts = [f"FROM catalogue.activity{_times(start, end, _HOUR, 'hour')}"]
    parts += [f"FROM {one.relation('activity')}" for one in slices if "activity" in one.tables]
    return " UNION ALL ".join(parts)


def _times(start: datetime | None, end: datetime | None, length: timedelta, column: str) -> str:
    """Of counts of some ``length`` those of the window and around it."""
    conditions = []
    if start is not None:
        conditions.append(f'"{column}" > TIMESTAMP {literal(str(_shifted(start, -_MARGIN - length)))}')
    if end is not None:
        conditions.append(f'"{column}" < TIMESTAMP {literal(str(_shifted(end, _MARGIN)))}')
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _shifted(moment: datetime | None, by: timedelta) -> datetime | None:
    try:
        return None if moment is None else moment + by
    except OverflowError:
        return moment


def naive_utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)
