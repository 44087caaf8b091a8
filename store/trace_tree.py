"""Spans of one trace → depth-first order. Pure.

What must stay true: every span is there exactly once, whatever the parents say (missing, doubled, or
in a circle); times are shown as reported, and a clock that is off is said, never mended.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_PROMOTED = {
    "method": "http.method",
    "url": "http.url",
    "upstream_cluster": "upstream_cluster",
    "upstream_address": "upstream_address",
    "peer_address": "peer.address",
    "request_id": "guid:x-request-id",
    "user_agent": "user_agent",
    "request_bytes": "request_size",
    "response_bytes": "response_size",
    "status_message": "status.message",
}
_COPIED = [
    "span_id",
    "parent_span_id",
    "name",
    "kind",
    "service",
    "workload",
    "namespace",
    "version",
    "is_proxy",
    "status",
    "status_code",
    "grpc_status",
]


def order_spans(rows: list[Json]) -> list[Json]:
    """Rows of `ask/trace` → span JSON in depth-first order, children by start."""
    rows = sorted(rows, key=lambda row: (row["time_ns"], row["span_id"]))
    start_ns = rows[0]["time_ns"] if rows else 0
    by_id: dict[str, int] = {}
    for index, row in enumerate(rows):
        by_id.setdefault(row["span_id"], index)
    children: dict[int | None, list[int]] = {}
    for index, row in enumerate(rows):
        parent = by_id.get(row["parent_span_id"])
        children.setdefault(None if parent == index else parent, []).append(index)
    ordered: list[Json] = []
    seen: set[int] = set()
    for root in [*children.get(None, []), *range(len(rows))]:
        _walk(rows, children, root, start_ns, by_id, seen, ordered)
    return ordered


def _walk(
    rows: list[Json],
    children: dict[int | None, list[int]],
    root: int,
    start_ns: int,
    by_id: dict[str, int],
    seen: set[int],
    ordered: list[Json],
) -> None:
    """Append ``root`` and what hangs below it; without recursion, for traces may be deep."""
    waiting = [(root, 0)]
    while waiting:
        index, depth = waiting.pop()
        if index in seen:
            continue
        seen.add(index)
        row = rows[index]
        parent = by_id.get(row["parent_span_id"]) if depth else None
        ordered.append(
            _span_json(row, depth, start_ns, _warnings(row, rows[parent] if parent is not None else None))
        )
        waiting += [(child, depth + 1) for child in reversed(children.get(index, []))]


def _warnings(row: Json, parent: Json | None) -> list[str]:
    if parent is None:
        if row["parent_span_id"] is None:
            return []
        return [f"Its parent span {row['parent_span_id']} did not arrive here, or is its own descendant."]
    early_ns = parent["time_ns"] - row["time_ns"]
    if early_ns > 0:
        return [f"It starts {early_ns / 1e6:.3f} ms before its parent: their clocks differ."]
    return []


def _span_json(row: Json, depth: int, start_ns: int, warnings: list[str]) -> Json:
    attributes = {
        name: str(row[column]) for column, name in _PROMOTED.items() if row[column] not in (None, "")
    }
    return {
        **{name: row[name] for name in _COPIED},
        "start_ms": (row["time_ns"] - start_ns) / 1e6,
        "duration_ms": row["duration_ns"] / 1e6,
        "error": row["failed"],
        "response_flags": [
            flag for flag in (row["response_flags"] or "").split(",") if flag not in ("", "-")
        ],
        "attributes": attributes | _as_dict(row["attributes"]),
        "resource": _as_dict(row["resource"]),
        "events": [
            {
                "offset_ms": (event["time_ns"] - row["time_ns"]) / 1e6,
                "name": event["name"],
                "attributes": _as_dict(event["attributes"]),
            }
            for event in row["events"] or []
        ],
        "links": list(row["links"] or []),
        "depth": depth,
        "warnings": warnings,
    }


def _as_dict(entries: list[Json] | None) -> dict[str, str]:
    return {entry["key"]: entry["value"] for entry in entries or []}
