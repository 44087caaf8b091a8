"""The rollup: counts per minute of what is sealed, and the same merged over longer spans, for long windows.

What must stay true: a span of ``merged_minutes`` that says so holds in ``edges_merged`` exactly what ``edges_1m`` holds
of its minutes, at every commit: rows that come later are added to both. A longer span is made of the next
shorter ones, so the shorter come first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

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
        cursor.execute(sql("seal/edges_1m", counts="sealed_minutes", rows=relation))
    cursor.execute("INSERT INTO catalogue.edges_1m FROM sealed_minutes")
    cursor.execute(sql("seal/merged_minutes"), [list(SPANS)])
    late = cursor.execute(sql("seal/late_spans")).fetchall()
    for (span_minutes,) in late:
        cursor.execute(sql("seal/edges_merged", parts=sql("seal/late_parts")), {"span_minutes": span_minutes})
    cursor.execute("DROP TABLE sealed_minutes")


def count_minutes(cursor: Cursor, rows: str, between: Mapping[str, Any]) -> None:
    """Count a relation of rows by the minute only: what is merged of them is still there. ``between``: its values."""
    cursor.execute(sql("seal/edges_1m", counts="catalogue.edges_1m", rows=rows), between)


def next_span(cursor: Cursor, now: datetime) -> tuple[int, datetime] | None:
    """The first span to merge at ``now`` (naive UTC): (its minutes, its begin)."""
    found = cursor.execute(sql("seal/next_span"), {"before": now - SETTLED}).fetchone()
    return (found[0], found[1]) if found else None


def merge_span(cursor: Cursor, span_minutes: int, since: datetime, everywhere: Callable[[str], str]) -> None:
    """Merge one span, within the caller's transaction. ``everywhere(table)``: a relation with all of ``edges_1m`` or
    ``edges_merged``, as far as the span reaches."""
    span = {"span_minutes": span_minutes, "since": since}
    shorter = [length for length in SPANS if length < span_minutes]
    if shorter:
        parts = sql("seal/parts_of_spans", counts=everywhere("edges_merged"))
        cursor.execute(sql("seal/edges_merged", parts=parts), span | {"shorter": shorter[-1]})
    else:
        parts = sql("seal/parts_of_minutes", counts=everywhere("edges_1m"))
        cursor.execute(sql("seal/edges_merged", parts=parts), span)
    if span_minutes == 60:
        cursor.execute(sql("seal/activity_of_hour"), {"since": since})
        cursor.execute("DELETE FROM catalogue.activity WHERE hour = ?", [since])
        cursor.execute("INSERT INTO catalogue.activity FROM activity_of_hour")
        cursor.execute("DROP TABLE activity_of_hour")
    cursor.execute(
        "UPDATE catalogue.merged_minutes SET is_merged = true WHERE span_minutes = ? AND since = ?",
        [span_minutes, since],
    )
