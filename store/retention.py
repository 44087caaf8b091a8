"""What is kept how long: rows by age and by their bytes on disk, counts by age, in days.

What must stay true: files are dropped whole, none of them before the hour it arrived in is past; age counts from
arrival, so logs of last year that were imported today are kept as long as today's.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from store.catalogue import Segment
from store.compaction import hour_of
from store.database import Cursor, one
from store.physical import ROLLUPS
from store.reading import in_window
from store.settings import StoreSettings
from store.statements import sql

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_COUNTS = (
    ("catalogue.edges_1m", "minute"), ("catalogue.edges_merged", "since"), ("catalogue.merged_minutes", "since"),
    ("catalogue.activity", '"hour"'), ("catalogue.dropped_minutes", "minute"),
)  # fmt: skip


def expired(segments: list[Segment], settings: StoreSettings, now: datetime) -> list[Segment]:
    """Segments of rows to drop at ``now`` (naive UTC): the too old, then the oldest until the others fit."""
    oldest_kept = now - timedelta(days=settings.rows_kept_days)
    dropped = []
    rows = [segment for segment in segments if segment.table not in ROLLUPS]
    left = sum(segment.bytes for segment in rows)
    for segment in sorted(rows, key=lambda one: (hour_of(one), one.path)):
        end = hour_of(segment) + _HOUR
        if end <= oldest_kept or (left > settings.rows_kept_bytes and end <= now):
            dropped.append(segment)
            left -= segment.bytes
    return dropped


def forgettable(segments: list[Segment], settings: StoreSettings, now: datetime) -> list[Segment]:
    """Files of the rollup whose days are all forgotten at ``now``."""
    before = _forgotten_before(settings, now)
    rows = [one for one in segments if one.table not in ROLLUPS]
    return [
        one
        for one in segments
        if one.table in ROLLUPS
        and one.latest is not None
        and one.earliest is not None
        and one.latest < before
        and not in_window(rows, _midnight(one.earliest), _midnight(one.latest) + _DAY)
    ]


def forget_days(cursor: Cursor, settings: StoreSettings, now: datetime) -> int:
    """Drop the counts of days that are too old or still to come, unless a file has some of them. Returns how many."""
    days = {"before": _forgotten_before(settings, now), "after": now + _DAY}
    forgotten = 0
    for counts, moment in _COUNTS:
        forgotten += one(cursor.execute(sql("seal/forget_days", counts=counts, moment=moment), days))[0]
    return forgotten


def _forgotten_before(settings: StoreSettings, now: datetime) -> datetime:
    return _midnight(now - timedelta(days=settings.rollups_kept_days))


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
