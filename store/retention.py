"""What is kept how long: rows by age and by their bytes on disk, counts per minute by age.

What must stay true: files are dropped whole, none of them before the hour it arrived in is past; age counts from
arrival, so logs of last year that were imported today are kept as long as today's.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from store import rollup
from store.catalogue import Segment
from store.compaction import hour_of
from store.database import Cursor, one
from store.settings import StoreSettings
from store.statements import sql

_HOUR = timedelta(hours=1)


def expired(segments: list[Segment], settings: StoreSettings, now: datetime) -> list[Segment]:
    """Segments to drop at ``now`` (naive UTC): the too old, then the oldest until the others fit."""
    oldest_kept = now - timedelta(days=settings.rows_kept_days)
    dropped = []
    left = sum(segment.bytes for segment in segments)
    for segment in sorted(segments, key=lambda one: (hour_of(one), one.path)):
        end = hour_of(segment) + _HOUR
        if end <= oldest_kept or (left > settings.rows_kept_bytes and end <= now):
            dropped.append(segment)
            left -= segment.bytes
    return dropped


def forget_minutes(cursor: Cursor, settings: StoreSettings, now: datetime) -> int:
    """Drop counts per minute that are too old, unless rows of those minutes are kept. Returns how many."""
    before = (now - timedelta(days=settings.rollups_kept_days)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    forgotten = 0
    for counts in ("catalogue.edges_1m", "catalogue.activity", "catalogue.dropped_minutes"):
        forgotten += one(cursor.execute(sql("seal/forget_minutes", counts=counts), {"before": before}))[0]
    if forgotten:
        rollup.forget_before(cursor, before)
    return forgotten
