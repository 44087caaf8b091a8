"""Facts to graph: health, ids and texts, without a database."""

from __future__ import annotations

from typing import Any

import pytest

from store.graph_formats import node_label, to_dot, to_mermaid, to_table
from store.graph_health import Traffic, answer_kind, health_of
from store.node_ids import edge_id, id_of, number_of


@pytest.mark.parametrize(
    ("answers", "health"),
    [
        ([], "idle"),
        ([("http", 200, None, "ok", 100)], "healthy"),
        ([("http", 200, None, "ok", 999), ("http", 503, None, "error", 1)], "degraded"),
        ([("http", 200, None, "ok", 90), ("http", 503, None, "error", 10)], "failing"),
        ([("http", 200, None, "ok", 91), ("http", 404, None, "ok", 9)], "healthy"),
        ([("http", 200, None, "ok", 90), ("http", 404, None, "ok", 10)], "degraded"),
        ([("http", 200, None, "ok", 80), ("http", 404, None, "ok", 20)], "failing"),
        ([("http", 200, None, "ok", 1000), ("http", 0, None, "error", 1)], "degraded"),
        ([("http", 200, None, "ok", 10), ("http", 0, None, "client_gone", 10)], "healthy"),
        ([("grpc", 200, 0, "ok", 99), ("grpc", 200, 5, "ok", 1)], "degraded"),
        ([("grpc", 200, None, "unknown", 5)], "unknown"),
        ([("tcp", None, None, "ok", 9), ("tcp", None, None, "error", 1)], "failing"),
    ],
)
def test_health(answers: list[tuple[Any, ...]], health: str) -> None:
    """A node's health is the worst of Kiali's default tolerances; clients that left say nothing."""
    traffic = Traffic()
    for protocol, code, status, outcome, requests in answers:
        if outcome != "client_gone":
            kind = protocol, answer_kind(protocol, code, status, outcome)
            traffic.kinds[kind] = traffic.kinds.get(kind, 0) + requests
    assert health_of([traffic, Traffic()]) == health


def test_ids_are_numbers_both_ways() -> None:
    """An id and the number SQL counts by are the same thing, and an edge's id follows from its ends."""
    one = edge_id("91b74b97f8b3cff3", "232c8e2942d5e33b", "http")
    assert one == "89982891e73f3cd3"
    assert id_of(number_of(one)) == one


def test_hostile_names_stay_text() -> None:
    """A name full of markup and quotes cannot leave its label, in DOT, Mermaid or a table."""
    name = '<img src=x onerror=alert(1)>"];\\\n\x1b[31m'
    node = {
        "id": "0" * 16, "kind": "workload", "namespace": "default", "workload": name, "app": None,
        "version": None, "service": None, "instance": None, "health": "healthy",
    }  # fmt: skip
    edge = {
        "id": "1" * 16, "source": "0" * 16, "target": "0" * 16, "protocol": "http", "requests": 4,
        "rate": 1.0, "errors": 1, "client_gone": 0, "success_rate": 0.75, "share": 0.5,
        "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0,
        "server": {"requests": 4, "success_rate": 1.0},
    }  # fmt: skip
    answer = {"nodes": [node], "edges": [edge]}
    dot, mermaid, table = to_dot(answer), to_mermaid(answer), to_table(answer)
    assert r"onerror=alert(1)>\"];\\" in dot
    assert "#lt;img" in mermaid
    assert '"]' not in mermaid.replace('"]\n', "")
    assert "50.0 % · 1/s · 25.0 % err · p95 2 ms" in dot
    for text in (dot, mermaid, table):
        assert "\x1b" not in text
    assert len(table.splitlines()) == 2
    assert node_label({**node, "workload": "reviews", "version": "v2"}) == "reviews v2"


def test_no_traffic() -> None:
    """An empty graph is an empty drawing, not an error."""
    empty: dict[str, Any] = {"nodes": [], "edges": []}
    assert to_dot(empty).startswith("digraph")
    assert to_mermaid(empty) == "flowchart LR\n"
    assert to_table(empty) == "no traffic\n"
