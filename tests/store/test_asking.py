"""Series, requests and traces of one small store, and that they agree with the graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from store.errors import BadQuery
from store.queries import Queries
from store.query_types import GRAINS, GraphQuery, RequestsQuery, TimeseriesQuery, TracesQuery
from tests.store.asked_store import TRACE, WINDOW, asked_store


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queries]:
    with asked_store(tmp_path_factory.mktemp("asked")) as asked:
        yield asked


@pytest.fixture(scope="module")
def edge(queries: Queries) -> dict[str, Any]:
    return graph_of(queries)["edges"][0]


def graph_of(queries: Queries, **params: Any) -> dict[str, Any]:
    return queries.graph(GraphQuery.from_params({**WINDOW, **params}))


def test_the_graph_of_the_store(queries: Queries, edge: dict[str, Any]) -> None:
    """Both views, exact percentiles of the caller's rows, and nodes that sum their edges."""
    assert (edge["requests"], edge["errors"], edge["success_rate"], edge["rate"]) == (12, 3, 0.75, 12 / 300)
    assert (edge["p50_ms"], edge["avg_ms"], edge["server"]["p50_ms"]) == (6.5, 6.5, 3.25)
    assert edge["server"]["requests"] == 12
    caller, callee = graph_of(queries)["nodes"]
    assert (caller["workload"], caller["requests_out"], caller["requests_in"]) == ("productpage-v1", 12, 0)
    assert (callee["workload"], callee["requests_in"], callee["p50_ms_in"]) == ("reviews-v2", 12, 6.5)
    assert callee["health"] == "failing"


@pytest.mark.parametrize("grain", GRAINS)
def test_every_grain_counts_the_same(queries: Queries, grain: str) -> None:
    """Requests do not depend on what a node is, and ids of different grains differ."""
    graph = graph_of(queries, type=grain)
    assert [edge["requests"] for edge in graph["edges"]] == [12]
    assert {node["kind"] for node in graph["nodes"]} == {
        "version": {"workload"},
        "workload": {"workload"},
    }.get(grain, {grain})


def test_namespaces_and_empty_windows(queries: Queries) -> None:
    """A namespace keeps what touches it; a window without traffic is an empty graph."""
    assert len(graph_of(queries, namespace=["default"])["edges"]) == 1
    assert graph_of(queries, namespace=["other"])["edges"] == []
    empty = queries.graph(
        GraphQuery.from_params({"from": "2026-11-20T12:00:00Z", "to": "2026-11-20T12:05:00Z"})
    )
    assert (empty["nodes"], empty["edges"]) == ([], [])


def test_a_window_is_half_open(queries: Queries) -> None:
    """[from, to) on start time: a window that starts at a request has it, one that ends there has not."""
    for start, end, requests in (
        ("00:10", "00:20", 1),
        ("00:09", "00:10", 0),
        ("00:05.5", "00:30.000001", 3),
    ):
        params = {"from": f"2026-11-21T12:{start}Z", "to": f"2026-11-21T12:{end}Z"}
        edges = queries.graph(GraphQuery.from_params(params))["edges"]
        assert sum(edge["requests"] for edge in edges) == requests, (start, end)


def test_series_have_every_step(queries: Queries, edge: dict[str, Any]) -> None:
    """A step a minute: five of them, empty ones with nulls, and their sum is the graph's number."""
    for element in ({"edge": edge["id"]}, {"node": edge["target"]}, {"node": edge["source"]}):
        series = queries.timeseries(TimeseriesQuery.from_params({**WINDOW, **element, "step": "60"}))
        assert [point["requests"] for point in series["client"]] == [5, 6, 1, 0, 0]
        assert series["client"][1]["p50_ms"] == 8.5
        assert series["client"][3]["success_rate"] is None
        assert series["client"][4]["time"] == "2026-11-21T12:04:00Z"
        assert sum(point["requests"] for point in series["server"]) == 12
    nothing = queries.timeseries(TimeseriesQuery.from_params({**WINDOW, "edge": "0" * 16, "step": "60"}))
    assert [point["requests"] for point in nothing["client"]] == [0] * 5


def test_requests_page_without_gap_or_double(queries: Queries, edge: dict[str, Any]) -> None:
    """Pages of five, newest first, hold each of the twelve requests once."""
    seen: list[dict[str, Any]] = []
    before: dict[str, str] = {}
    for _ in range(4):
        page = queries.requests(
            RequestsQuery.from_params({**WINDOW, "edge": edge["id"], "limit": "5", **before})
        )
        seen += page["requests"]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert [request["request_id"] for request in seen] == [f"r{number}" for number in range(12, 0, -1)]
    first = seen[-1]
    assert (first["trace_id"], first["source"]["workload"]) == (TRACE.hex, "productpage-v1")
    assert (first["destination"]["version"], first["destination"]["service"]) == (
        "v2",
        "reviews.default.svc.cluster.local",
    )


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"outcome": "error"}, 3),
        ({"view": "server"}, 12),
        ({"trace_id": TRACE.hex}, 1),
        ({"outcome": "unknown"}, 0),
    ],
)
def test_requests_are_sifted(
    queries: Queries, edge: dict[str, Any], params: dict[str, str], count: int
) -> None:
    """By outcome, view and trace."""
    page = queries.requests(RequestsQuery.from_params({**WINDOW, "node": edge["target"], **params}))
    assert len(page["requests"]) == count


def test_a_bad_cursor_is_refused(queries: Queries) -> None:
    """A cursor that is none is the asker's mistake, with a sentence."""
    with pytest.raises(BadQuery, match="no cursor"):
        queries.requests(RequestsQuery.from_params({**WINDOW, "before": "yesterday"}))


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, 1),
        ({"service": "reviews"}, 1),
        ({"service": "ratings"}, 0),
        ({"errors": "1"}, 1),
        ({"min_duration_ms": "1000"}, 0),
    ],
)
def test_the_list_of_traces(queries: Queries, params: dict[str, str], found: int) -> None:
    """A trace is named by its earliest root and found by service, error and duration."""
    traces = queries.traces(TracesQuery.from_params({**WINDOW, **params}))["traces"]
    assert len(traces) == found
    for trace in traces:
        assert (trace["trace_id"], trace["spans"], trace["errors"]) == (TRACE.hex, 5, 1)
        assert (trace["root_service"], trace["duration_ms"]) == ("productpage", 31.0)
        assert trace["services"] == [{"name": "reviews", "spans": 4}, {"name": "productpage", "spans": 1}]


def test_traces_behind_an_edge(queries: Queries, edge: dict[str, Any]) -> None:
    """An edge leads to the traces of its requests."""
    traces = queries.traces(TracesQuery.from_params({**WINDOW, "edge": edge["id"]}))["traces"]
    assert [trace["trace_id"] for trace in traces] == [TRACE.hex]


def test_one_trace(queries: Queries) -> None:
    """Spans depth first, children by start; a lost parent and a clock that is off are said."""
    trace = queries.trace(TRACE.hex.upper())
    assert trace is not None
    assert [(span["name"], span["depth"]) for span in trace["spans"]] == [
        ("reviews:9080/*", 0), ("early", 1), ("GET /reviews", 1), ("render", 2), ("lost", 0),
    ]  # fmt: skip
    root, early, _, render, lost = trace["spans"]
    assert (root["service"], root["workload"], root["is_proxy"]) == ("productpage", "productpage-v1", True)
    assert "clocks differ" in early["warnings"][0]
    assert "did not arrive" in lost["warnings"][0]
    assert (render["error"], render["parent_span_id"], render["attributes"]["k"]) == (
        True,
        "0000000000000002",
        "v",
    )
    assert render["resource"] == {"service.name": "reviews"}
    assert render["events"][0]["name"] == "e"
    assert (trace["truncated"], trace["duration_ms"]) == (False, 31.0)
    assert queries.trace("f" * 32) is None


def test_the_registry(queries: Queries) -> None:
    """Workloads are listed by version."""
    assert [(row["workload"], row["version"]) for row in queries.workloads()] == [
        ("productpage-v1", "v1"), ("reviews-v2", "v2"),
    ]  # fmt: skip
