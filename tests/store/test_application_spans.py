"""Applications' spans as edges, beyond the cases of `tests/store/cases`: halves that come late, and the
rows, series, traces and SQL behind such an edge."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.engine import Store
from store.queries import Queries
from store.query_types import GraphQuery, RequestsQuery, TimeseriesQuery, TracesQuery, Window
from tests.store.journals import NOON, batch, open_store, write_journal

TRACE = uuid.UUID("0af7651916cd43dd8448eb211c80319c")


def _span(span: int, app: str, kind: str, seconds: float = 1, **columns: Any) -> dict[str, Any]:
    row = {
        "time": NOON + timedelta(seconds=seconds),
        "time_ns": int((NOON - datetime(1970, 1, 1)).total_seconds() + seconds) * 10**9,
        "duration_ns": 10_000_000, "trace_id": TRACE.bytes, "span_id": span, "is_proxy": False,
        "emitter": f"{app}-1.default", "service_name": app, "name": "GET", "kind": kind, "status": "unset",
        "method": "GET", "status_code": 200, "attributes": [], "events": [], "links": [],
    }  # fmt: skip
    return row | columns


def _pod(app: str) -> dict[str, Any]:
    return {
        "time": NOON, "evidence": "resource", "emitter": f"{app}-1.default", "namespace": "default",
        "pod": f"{app}-1", "workload": app, "app": app,
    }  # fmt: skip


def _load(store: Store, name: str, seal: bool, *spans: dict[str, Any], pods: tuple[str, ...] = ()) -> None:
    resources = [{"attributes": [("service.name", "any")]}]
    one = batch(name, spans=list(spans), resources=resources, identities=[_pod(app) for app in pods])
    write_journal(store.settings.journal, name, [one])
    store.poll_once(seal=seal)


def _edges(queries: Queries, minutes: int = 2) -> list[tuple[Any, ...]]:
    graph = queries.graph(GraphQuery(Window(NOON, NOON + timedelta(minutes=minutes))))
    names = {node["id"]: node["workload"] or node["service"] or node["kind"] for node in graph["nodes"]}
    return sorted(
        (names[edge["source"]], names[edge["target"]], edge["requests"], edge["server"]["requests"])
        for edge in graph["edges"]
    )


@pytest.mark.slow
def test_a_half_that_comes_late_repairs_the_edge(tmp_path: Path) -> None:
    """The server's span comes in a later journal, after the client's was sealed; its own caller's even later,
    though that call began four minutes before."""
    store = open_store(tmp_path)
    queries = Queries(store)
    try:
        client = _span(1, "shop", "client", seconds=70, target_address="pay:8080")
        _load(store, "late-1", True, client, pods=("shop",))
        assert _edges(queries) == [("shop", "pay.default.svc.cluster.local", 1, 0)]
        late = _span(2, "pay", "server", seconds=100, parent_span_id=1)
        later = _span(3, "pay", "server", seconds=100, parent_span_id=9)
        _load(store, "late-2", False, late, later, pods=("pay",))
        assert _edges(queries) == [("shop", "pay", 1, 1), ("unknown", "pay", 1, 1)]
        _load(store, "late-3", True, _span(9, "batch", "client", seconds=-140), pods=("batch",))
        assert _edges(queries) == [("batch", "pay", 0, 1), ("shop", "pay", 1, 1)]
    finally:
        store.stop()


@pytest.mark.slow
def test_the_rows_behind_an_edge_are_the_edge(tmp_path: Path) -> None:
    """`/api/requests`, `/api/timeseries`, `/api/traces` and SQL's `requests` and `edges` tell of an edge made of
    applications' spans what the graph tells, and its rows are spans."""
    store = open_store(tmp_path)
    queries = Queries(store)
    window = Window(NOON, NOON + timedelta(minutes=1))
    try:
        calls = [
            span
            for number in range(1, 4)
            for span in (
                _span(number, "shop", "client", number, target_address="pay:8080", status_code=500 + number),
                _span(10 + number, "pay", "server", number, parent_span_id=number, url="/pay?x=1"),
            )
        ]
        query = _span(20, "pay", "client", target_kind="database", target_system="redis", status="error")
        _load(store, "rows-1", True, *calls, query | {"status_code": None}, pods=("shop", "pay"))
        graph = queries.graph(GraphQuery(window))
        [edge] = [edge for edge in graph["edges"] if edge["protocol"] == "http"]
        assert (edge["requests"], edge["errors"], edge["server"]["errors"]) == (3, 3, 0)
        client = queries.requests(RequestsQuery(window, edge=edge["id"]))["requests"]
        assert [row["status_code"] for row in client] == [503, 502, 501]
        assert {
            (row["signal"], row["source"]["workload"], row["destination"]["workload"]) for row in client
        } == {("span", "shop", "pay")}
        server = queries.requests(RequestsQuery(window, edge=edge["id"], view="server"))["requests"]
        assert [(row["path"], row["outcome"]) for row in server] == [("/pay?x=1", "ok")] * 3
        series = queries.timeseries(TimeseriesQuery(window, edge=edge["id"], step_s=60))
        assert [(point["requests"], point["errors"]) for point in series["client"]] == [(3, 3)]
        traces = queries.traces(TracesQuery(window, edge=edge["id"]))["traces"]
        assert [trace["trace_id"] for trace in traces] == [TRACE.hex]
        told = store.sql(
            "select protocol, outcome, destination_workload, count(*)::integer as n "
            "from requests group by all order by all",
            "csv",
        )
        assert told.decode().split() == [
            "protocol,outcome,destination_workload,n", "http,error,pay,3", "tcp,error,redis,1"
        ]  # fmt: skip
        listed = store.sql(
            "select id, requests from edges('2026-11-21 12:00:00', '2026-11-21 12:01:00') order by id",
            "csv",
        )
        wanted = sorted(f"{one['id']},{one['requests']}" for one in graph["edges"])
        assert listed.decode().split()[1:] == wanted
    finally:
        store.stop()
