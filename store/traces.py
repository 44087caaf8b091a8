"""Traces: a list over a window, and one with its spans (`GET /api/traces`, `GET /api/traces/{id}`).

What must stay true: ids are lower-case hexadecimal; a trace of more than ``MAX_SPANS`` spans is cut and
says so; the list shows what started in the window, the single trace everything stored of it.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from store.asking import Row, ask_rows
from store.elements import find_element
from store.graph import rfc3339
from store.node_ids import number_of
from store.query_types import TracesQuery
from store.requests import read_cursor, write_cursor
from store.trace_tree import order_spans

Json = dict[str, Any]

MAX_SPANS = 10_000
_EPOCH = datetime(1970, 1, 1)


def answer_traces(cursor: Any, query: TracesQuery) -> Json:
    """The JSON of `/api/traces`. Raises BadQuery for a cursor that is none."""
    before_time, before_hash = read_cursor(query.before)
    element = query.edge or query.node
    number = number_of(element) if element else None
    of = None if number is None else find_element(cursor, query.window, number)
    if number is not None and of is None:
        return {"traces": [], "next": None}
    values = {
        "from_time": query.window.from_time,
        "to_time": query.window.to_time,
        "grain": of.grain if of else "version",
        "number": number,
        "service": query.service,
        "errors": query.errors,
        "min_duration_ms": query.min_duration_ms,
        "before_time": before_time,
        "before_hash": before_hash,
        "limit": query.limit + 1,
    }
    found = ask_rows(cursor, "traces", values)
    page = found[: query.limit]
    return {
        "traces": [_trace_json(row) for row in page],
        "next": write_cursor(page[-1]) if len(found) > query.limit else None,
    }


def _trace_json(row: Row) -> Json:
    kept = ("trace_id", "duration_ms", "root_service", "root_name", "spans", "errors", "services")
    return {"time": _time(row["time_us"]), **{name: row[name] for name in kept}}


def answer_trace(cursor: Any, trace_id: uuid.UUID) -> Json | None:
    """The JSON of `/api/traces/{id}`, None if nothing of it is stored."""
    wanted = {"trace_id": str(trace_id), "limit": MAX_SPANS + 1}
    rows = ask_rows(cursor, "trace", wanted)
    if not rows:
        return None
    shown = rows[:MAX_SPANS]
    start_ns = min(row["time_ns"] for row in shown)
    end_ns = max(row["time_ns"] + row["duration_ns"] for row in shown)
    counts: dict[str, int] = {}
    for row in shown:
        counts[row["service"] or "unknown"] = counts.get(row["service"] or "unknown", 0) + 1
    return {
        "trace_id": trace_id.hex,
        "time": _time(min(row["time_us"] for row in shown)),
        "duration_ms": (end_ns - start_ns) / 1e6,
        "truncated": len(rows) > MAX_SPANS,
        "services": [
            {"name": name, "spans": spans}
            for name, spans in sorted(counts.items(), key=lambda c: (-c[1], c[0]))
        ],
        "spans": order_spans(shown),
    }


def _time(microseconds: int) -> str:
    return rfc3339(_EPOCH + timedelta(microseconds=microseconds))
