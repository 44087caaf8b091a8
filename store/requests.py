"""The requests behind an edge or a node, newest first, a page at a time (`GET /api/requests`).

What must stay true: a request is on exactly one page (ordered by start time, then by a hash of the
row); a page reads the newest minutes first and stops when it is full, and first finds by few columns which
rows those are: reading every column of a window cost ten times the rest of the question.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from store.asking import Row, ask_rows
from store.elements import find_element
from store.errors import BadQuery
from store.graph import rfc3339
from store.node_ids import number_of
from store.query_types import RequestsQuery, Window

Json = dict[str, Any]

_FIRST_READ = timedelta(minutes=2)
_COPIED = [
    "duration_ms",
    "reporter",
    "signal",
    "protocol",
    "method",
    "authority",
    "path",
    "route",
    "status_code",
    "grpc_status",
    "response_code_details",
    "outcome",
    "attempts",
    "request_id",
    "trace_id",
    "span_id",
    "tls",
    "user_agent",
    "background",
    "request_bytes",
    "response_bytes",
]
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def answer_requests(cursor: Any, query: RequestsQuery) -> Json:
    """The JSON of `/api/requests`. Raises BadQuery for a cursor that is none."""
    before_time, before_hash = read_cursor(query.before)
    element = query.edge or query.node
    number = number_of(element) if element else None
    of = None if number is None else find_element(cursor, query.window, number)
    found: list[Row] = []
    if number is None or of is not None:
        values = {
            "grain": of.grain if of else "version",
            "number": number,
            "is_called": of.is_called if of else True,
            "view": query.view,
            "success": query.success,
            "outcome": query.outcome,
            "trace_id": str(uuid.UUID(query.trace_id)) if query.trace_id else None,
            "before_time": before_time,
        }
        found = _read_page(cursor, query, values, before_hash)
    page = found[: query.limit]
    return {
        "from": rfc3339(query.window.from_time),
        "to": rfc3339(query.window.to_time),
        "exact": True,
        "requests": [_request_json(row) for row in page],
        "next": write_cursor(page[-1]) if len(found) > query.limit else None,
    }


def _read_page(cursor: Any, query: RequestsQuery, values: Row, before_hash: int | None) -> list[Row]:
    """Up to ``query.limit + 1`` whole rows; the last one says that there are more."""
    wanted = query.limit + 1
    times_us: list[int] = []
    for part in _newest_first(query.window, values["before_time"]):
        bounds = {"from_time": part.from_time, "to_time": part.to_time, "limit": wanted - len(times_us)}
        times_us += [row["time_us"] for row in ask_rows(cursor, "request_times", values | bounds)]
        if len(times_us) == wanted:
            break
    if values["before_time"]:  # the page before may have ended between two rows of one microsecond
        times_us.append((values["before_time"] - _EPOCH) // _MICROSECOND)
    if not times_us:
        return []
    return ask_rows(
        cursor,
        "requests",
        values
        | {
            "from_time": _EPOCH + timedelta(microseconds=min(times_us)),
            "to_time": _EPOCH + timedelta(microseconds=max(times_us) + 1),
            "times_us": times_us,
            "before_hash": before_hash,
            "limit": wanted,
        },
    )


def _newest_first(window: Window, before: datetime | None) -> Iterator[Window]:
    """Parts of the window from its end on, each eight times as long as the one before."""
    end = min(window.to_time, before + timedelta(microseconds=1)) if before else window.to_time
    length = _FIRST_READ
    while end > window.from_time:
        start = max(window.from_time, end - length)
        yield Window(start, end)
        end, length = start, length * 8


def read_cursor(text: str | None) -> tuple[datetime | None, int | None]:
    """'MICROSECONDS-HASH' → (time, hash). Raises BadQuery."""
    if text is None:
        return None, None
    match = re.fullmatch(r"(\d{1,17})-([0-9a-f]{1,16})", text)
    if not match:
        raise BadQuery("bad_before", f"before={text[:40]!r} is no cursor.", "Take `next` of the page before.")
    return _EPOCH + timedelta(microseconds=int(match[1])), int(match[2], 16)


def write_cursor(row: Row) -> str:
    return f"{row['time_us']}-{row['row_hash']:x}"


def _request_json(row: Row) -> Json:
    answer: Json = {"time": rfc3339(_EPOCH + timedelta(microseconds=row["time_us"]))}
    answer |= {name: row[name] for name in _COPIED}
    answer["trace_id"] = row["trace_id"].hex if isinstance(row["trace_id"], uuid.UUID) else row["trace_id"]
    answer["response_flags"] = [
        flag for flag in (row["response_flags"] or "").split(",") if flag not in ("", "-")
    ]
    answer["source"] = _end_json(row["source_node"], row["source_address"])
    answer["destination"] = _end_json(row["target_node"], row["destination_address"])
    answer["destination"]["service"] = (row["target_node"] or {}).get("service")
    return answer


def _end_json(node: Row | None, address: str | None) -> Json:
    names = ("namespace", "workload", "app", "version", "instance")
    return {name: (node or {}).get(name) for name in names} | {"address": address}
