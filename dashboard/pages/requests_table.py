"""The latest requests of a node or an edge, as a table. Pure: rows of /api/requests in, components out.

What must stay true: text from telemetry is only ever a child (text), and a link is made only of an id that
is one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from dashboard.flags import flag
from dashboard.wording import UNKNOWN, clock, day_and_clock, grpc_name, milliseconds

OUTCOMES = {
    "ok": ("✓", "ok"),
    "error": ("!", "failed"),
    "client_gone": ("⇠", "the client left"),
    "unknown": ("?", "not known: this telemetry does not show the gRPC status"),
}
_TRACE = re.compile(r"[0-9a-f]{32}")
_SPAN = re.compile(r"[0-9a-f]{16}")
LONGEST = 300


def requests_table(rows: Sequence[dict[str, Any]], *, peers: bool = False, counters: bool = False) -> Any:
    """Rows as /api/requests gives them, newest first; ``peers`` adds who called whom (for a node).

    ``counters``: all that is shown was counted by metrics, so that there can be no row.
    """
    if not rows and counters:
        return html.P("Counted by metrics: no single requests are kept.", className="muted")
    if not rows:
        return html.P("No request like this in the window.", className="muted")
    heads = ["", "Time", "Request", "Code", "Took", "Trace"]
    head = html.Thead(html.Tr([html.Th(text, scope="col") for text in heads]))
    return html.Table([head, html.Tbody([_row(row, peers) for row in rows])], className="requests")


def trace_path(trace_id: Any, span_id: Any = None) -> str | None:
    """``/traces/…`` for a real trace id, else None."""
    if not isinstance(trace_id, str) or not _TRACE.fullmatch(trace_id):
        return None
    at = f"?span={span_id}" if isinstance(span_id, str) and _SPAN.fullmatch(span_id) else ""
    return f"/traces/{trace_id}{at}"


def _row(row: dict[str, Any], peers: bool) -> html.Tr:
    outcome = str(row.get("outcome"))
    mark, meaning = OUTCOMES.get(outcome, OUTCOMES["unknown"])
    path = trace_path(row.get("trace_id"), row.get("span_id"))
    link = dcc.Link("trace", href=path, title="show the trace of this request") if path else UNKNOWN
    spoken = html.Span(meaning, className="for-readers")
    return html.Tr(
        [
            html.Td([html.Span(mark, className="outcome-mark", title=meaning), spoken]),
            html.Td(
                clock(row.get("time")).split(".")[0], title=day_and_clock(row.get("time")), className="number"
            ),
            html.Td(_what(row, peers), className="what"),
            html.Td(_codes(row)),
            html.Td(milliseconds(row.get("duration_ms")), className="number"),
            html.Td(link),
        ],
        className=f"outcome-{outcome}" if outcome in OUTCOMES else "outcome-unknown",
    )


def _what(row: dict[str, Any], peers: bool) -> list[Any]:
    if row.get("protocol") == "tcp":
        words: list[Any] = [html.Span("TCP", className="method"), " connection"]
    else:
        where = row.get("path") or row.get("authority") or UNKNOWN
        words = [html.Span(row.get("method") or "", className="method"), " ", str(where)[:LONGEST]]
    lines: list[Any] = [html.Span(words, dir="auto", title=str(row.get("authority") or "")[:LONGEST] or None)]
    if peers:
        lines.append(
            html.Span(f"{_peer(row.get('source'))} → {_peer(row.get('destination'))}", className="peers")
        )
    attempts = row.get("attempts")
    if attempts is not None and attempts > 1:
        lines.append(html.Span(f"{attempts} attempts", className="peers"))
    return lines


def _peer(peer: dict[str, Any] | None) -> str:
    names = ((peer or {}).get(key) for key in ("workload", "app", "service", "address"))
    return str(next((name for name in names if name), "unknown"))[:80]


def _codes(row: dict[str, Any]) -> list[Any]:
    code, grpc = row.get("status_code"), row.get("grpc_status")
    parts: list[Any] = []
    if row.get("protocol") != "tcp":
        no_answer = code == 0
        text = UNKNOWN if code is None else str(code)
        parts.append(html.Span(text, title="no response was sent" if no_answer else None))
    if grpc is not None:
        parts.append(html.Span(f"gRPC {grpc}", title=grpc_name(grpc) or None, className="tag"))
    details = row.get("response_code_details")
    for name in row.get("response_flags") or []:
        known = flag(str(name))
        why = f"{known.title}: {known.meaning}" + (f" ({str(details)[:LONGEST]})" if details else "")
        parts.append(html.Abbr(str(name)[:40], title=why, className="tag flag"))
    return parts or [UNKNOWN]
