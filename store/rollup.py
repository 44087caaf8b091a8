"""The rollup: counts per minute of what is sealed, and the same merged over longer spans, for long windows.

What must stay true: a span of ``merged_minutes`` that says so holds in ``edges_merged`` exactly what ``edges_1m`` holds
of its minutes, at every commit: rows that come later are added to both. A longer span is made of the next
shorter ones, so the shorter come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from store.database import Cursor
from store.statements import sql

SPANS = (10, 60, 360, 1440)
"""Lengths of spans, minutes; each divides the next, and a day."""
SETTLED = timedelta(minutes=5)
"""So long after its end a span is merged: what comes later is added row by row."""


def count_sealed(cursor: Cursor, rows: Sequence[str]) -> None:
    """Count relations of rows (as ``seal/edges_1m`` reads them), within the caller's transaction."""
    cursor.execute("CREATE OR REPLACE TEMP TABLE sealed_minutes AS FROM catalogue.edges_1m LIMIT 0")
    for relation in rows:
        cursor.execute(sql("seal/edges_1m", rows=relation))
    cursor.execute("INSERT INTO catalogue.edges_1m FROM sealed_minutes")
    list_spans(cursor, "sealed_minutes")
    late = cursor.execute(sql("seal/late_spans")).fetchall()
    for (span_minutes,) in late:
        cursor.execute(sql("seal/edges_merged", parts=sql("seal/late_parts")), {"span_minutes": span_minutes})
    cursor.execute("DROP TABLE sealed_minutes")


def list_spans(cursor: Cursor, minutes: str) -> None:
    """List the spans of the relation ``minutes`` that are not listed yet: they wait to be merged."""
    cursor.execute(sql("seal/merged_minutes", known="catalogue", minutes=minutes), [list(SPANS)])


def next_span(cursor: Cursor, now: datetime) -> tuple[int, datetime] | None:
    """The first span to merge at ``now`` (naive UTC): (its minutes, its begin)."""
    found = cursor.execute(sql("seal/next_span"), {"before": now - SETTLED}).fetchone()
    return (found[0], found[1]) if found else None


def merge_span(cursor: Cursor, span_minutes: int, since: datetime) -> None:
    """Merge one span, within the caller's transaction."""
    span = {"span_minutes": span_minutes, "since": since}
    shorter = [length for length in SPANS if length < span_minutes]
    if shorter:
        parts = sql("seal/parts_of_spans")
        cursor.execute(sql("seal/edges_merged", parts=parts), span | {"shorter": shorter[-1]})
    else:
        cursor.execute(sql("seal/edges_merged", parts=sql("seal/parts_of_minutes")), span)
    if span_minutes == 60:
        _merge_activity(cursor, since, since + timedelta(hours=1))
    cursor.execute(
        "UPDATE catalogue.merged_minutes SET is_merged = true WHERE span_minutes = ? AND since = ?",
        [span_minutes, since],
    )


def forget_before(cursor: Cursor, before: datetime) -> None:
    """After minutes before ``before`` (a midnight) were dropped: what is merged of them, within the transaction."""
    cursor.execute("DELETE FROM catalogue.edges_merged WHERE since < ?", [before])
    cursor.execute("DELETE FROM catalogue.merged_minutes WHERE since < ?", [before])
    list_spans(cursor, "(SELECT minute FROM catalogue.edges_1m)")
    _merge_activity(cursor, datetime.min, before)


def _merge_activity(cursor: Cursor, since: datetime, until: datetime) -> None:
    """One row an hour and peer in whole hours [since, until)."""
    cursor.execute("DELETE FROM catalogue.activity_1h WHERE hour >= ? AND hour < ?", [since, until])
    cursor.execute(sql("seal/activity_merged"), {"since": since, "until": until})
