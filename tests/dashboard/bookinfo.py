"""A made-up bookinfo graph in the shape of /api/graph, and a `queries` that serves it.

`python -m tests.dashboard.bookinfo` writes fixtures/golden/graph_bookinfo.json again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[2] / "fixtures" / "golden" / "graph_bookinfo.json"
WINDOW_S = 300


def ident(*parts: str) -> str:
    return hashlib.md5("|".join(parts).encode()).hexdigest()[:16]


def node(name: str, kind: str = "workload", namespace: str | None = "default", **more: Any) -> dict[str, Any]:
    app, _, version = name.partition("-v")
    found: dict[str, Any] = {
        "id": ident(kind, namespace or "", name),
        "kind": kind,
        "cluster": None,
        "namespace": namespace,
        "workload": name if kind in ("workload", "gateway") else None,
        "app": app,
        "version": f"v{version}" if version else None,
        "service": f"{app}.{namespace}.svc.cluster.local" if namespace else None,
        "requests_in": 0,
        "requests_out": 0,
        "success_rate_in": None,
        "p50_ms_in": None,
        "p95_ms_in": None,
        "p99_ms_in": None,
        "health": "idle",
    }
    return found | more


def edge(source: dict[str, Any], target: dict[str, Any], requests: int, **more: Any) -> dict[str, Any]:
    errors = more.get("errors", 0)
    p50 = more.get("p50_ms", 4.0)
    protocol = more.get("protocol", "http")
    found: dict[str, Any] = {
        "id": ident(source["id"], target["id"], protocol),
        "source": source["id"],
        "target": target["id"],
        "protocol": protocol,
        "counted_from": "access_log",
        "reporter": "source",
        "latency_from": "rows",
        "requests": requests,
        "rate": requests / WINDOW_S,
        "errors": errors,
        "client_gone": 0,
        "unknown": 0,
        "success_rate": 1 - errors / requests if requests else None,
        "codes": {}
        if protocol == "tcp"
        else {"200": requests - errors} | ({"503": errors} if errors else {}),
        "grpc_codes": {},
        "flags": {},
        "p50_ms": p50,
        "p90_ms": p50 * 2,
        "p95_ms": p50 * 2.6,
        "p99_ms": p50 * 4,
        "avg_ms": p50 * 1.2,
        "share": None if protocol == "tcp" else 1.0,
        "configured_share": None,
        "mtls": 1.0,
        "attempts": requests,
        "request_bytes": requests * 310,
        "response_bytes": requests * 2100,
        "server": None,
    }
    found |= more
    if target["kind"] == "workload":
        found["server"] = {
            "requests": requests,
            "errors": errors,
            "success_rate": found["success_rate"],
            "p50_ms": p50 * 0.9,
            "p95_ms": p50 * 2.3,
            "p99_ms": p50 * 3.6,
        }
    return found


def graph() -> dict[str, Any]:
    """The demo mesh, five minutes of it."""
    client = node("unknown", "unknown", None, app=None, service=None)
    gateway = node("istio-ingressgateway", "gateway", "istio-system")
    page = node("productpage-v1")
    details = node("details-v1")
    reviews = [node(f"reviews-v{v}") for v in (1, 2, 3)]
    ratings = [node(f"ratings-v{v}") for v in (1, 2)]
    database = node("mongodb", "database", "data", service="mongodb.data.svc.cluster.local")
    unanswered = node("ratings", "service", "default")
    stripe = node("api.stripe.com", "external", None, app=None, service="api.stripe.com")
    batch = node("nightly-report-v1", namespace="reporting")
    edges = [
        edge(client, gateway, 6012, mtls=0.0, p50_ms=31.0, errors=9),
        edge(gateway, page, 6012, p50_ms=29.0, errors=9),
        edge(page, details, 5980, protocol="grpc", errors=598, p50_ms=2.1, grpc_codes={"0": 5382, "14": 598}),
        edge(page, reviews[0], 4790, share=0.8, p50_ms=11.0),
        edge(page, reviews[1], 601, share=0.1004, p50_ms=14.0),
        edge(page, reviews[2], 597, share=0.0996, p50_ms=19.0, errors=4),
        edge(reviews[1], ratings[0], 540, share=0.9, p50_ms=3.0),
        edge(reviews[1], ratings[1], 60, share=0.1, p50_ms=3.4, errors=6),
        edge(reviews[2], ratings[0], 520, share=0.91, p50_ms=3.0),
        edge(reviews[2], ratings[1], 52, share=0.09, p50_ms=3.4, errors=5),
        edge(
            reviews[2], unanswered, 25, share=None, errors=25, codes={"503": 25}, flags={"UO": 25}, p50_ms=0.2
        ),
        edge(ratings[0], database, 1060, protocol="tcp", p50_ms=120.0),
        edge(ratings[1], database, 112, protocol="tcp", p50_ms=118.0),
        edge(page, stripe, 88, mtls=0.0, p50_ms=212.0),
        edge(batch, reviews[0], 30, p50_ms=9.0),
    ]
    nodes = [client, gateway, page, details, *reviews, *ratings, database, unanswered, stripe, batch]
    by_id = {n["id"]: n for n in nodes}
    for e in edges:
        if e["protocol"] == "tcp":
            continue
        by_id[e["source"]]["requests_out"] += e["requests"]
        by_id[e["target"]]["requests_in"] += e["requests"]
    for n in nodes:
        into = [e for e in edges if e["target"] == n["id"]]
        errors, total = sum(e["errors"] for e in into), sum(e["requests"] for e in into)
        n["success_rate_in"] = 1 - errors / total if total else None
        n["p95_ms_in"] = max((e["p95_ms"] for e in into), default=None)
        n["p50_ms_in"] = max((e["p50_ms"] for e in into), default=None)
        n["p99_ms_in"] = max((e["p99_ms"] for e in into), default=None)
        ratio = errors / total if total else 0
        n["health"] = "failing" if ratio >= 0.1 else "degraded" if ratio > 0.004 else "healthy"
    client["health"] = "unknown"
    return {
        "from": "2026-11-21T12:00:00Z",
        "to": "2026-11-21T12:05:00Z",
        "type": "version",
        "success": "5xx",
        "exact": True,
        "nodes": nodes,
        "edges": edges,
    }


class FakeQueries:
    """Answers like `store.queries.Queries`; ``graph_json`` may be changed between calls."""

    def __init__(self, graph_json: dict[str, Any] | None = None) -> None:
        self.graph_json = graph_json if graph_json is not None else json.loads(GOLDEN.read_text())
        self.asked: list[tuple[str, Any]] = []

    def graph(self, query: Any) -> dict[str, Any]:
        self.asked.append(("graph", query))
        return json.loads(json.dumps(self.graph_json))

    def status(self) -> dict[str, Any]:
        rows = sum(e["requests"] for e in self.graph_json["edges"])
        return {"healthy": True, "rows": {"observations": {"hot": rows, "sealed": 0}}, "lag_s": 0.1}


def write_golden() -> None:
    """Write `graph_bookinfo.json` anew (`make golden`)."""
    GOLDEN.write_text(json.dumps(graph(), indent=1) + "\n")


if __name__ == "__main__":
    write_golden()
