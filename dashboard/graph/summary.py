"""The strip above the graph: a few numbers about everything on screen. Pure.

Percentiles of different edges cannot be merged, so the latency shown is that of the slowest edge,
by name; rate and success are sums over all HTTP and gRPC edges as their callers saw them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dashboard.graph.decorate import node_name


@dataclass(frozen=True)
class Summary:
    """``rate`` in requests/s, ``success`` 0 to 1, ``p95_ms`` of the edge named ``slowest``; None: unknown."""

    rate: float
    success: float | None
    p95_ms: float | None
    slowest: str
    workloads: int


def summarise(graph: dict[str, Any]) -> Summary:
    """The summary of an /api/graph answer."""
    names = {node["id"]: node_name(node) for node in graph["nodes"]}
    calls = [edge for edge in graph["edges"] if edge.get("protocol") != "tcp"]
    requests = sum(edge["requests"] for edge in calls)
    judged = requests - sum(edge["client_gone"] + edge["unknown"] for edge in calls)
    timed = [edge for edge in calls if edge.get("p95_ms") is not None]
    slowest = max(timed, key=lambda edge: edge["p95_ms"], default=None)
    return Summary(
        rate=sum(edge["rate"] for edge in calls),
        success=1 - sum(edge["errors"] for edge in calls) / judged if judged > 0 else None,
        p95_ms=slowest["p95_ms"] if slowest else None,
        slowest=f"{names.get(slowest['source'], '')} → {names.get(slowest['target'], '')}" if slowest else "",
        workloads=sum(node["kind"] in ("workload", "gateway", "app", "instance") for node in graph["nodes"]),
    )
