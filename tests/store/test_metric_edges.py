"""Points in, edges out: the plain-text cases of `tests/store/metric_cases`, and real telemetry, through the real
loader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.decode.otlp_json import decode_metrics_json
from store.engine import Store
from store.frames import Batch
from store.graph_formats import node_label
from store.queries import Queries
from store.query_types import GraphQuery, RequestsQuery, TimeseriesQuery, Window
from tests.collector.captures import exports, json_lines
from tests.store.edge_cases_reader import Case, read_cases
from tests.store.journals import NOON, batch, mark, open_store, write_journal
from tests.store.metric_cases_reader import metric_tables
from tests.store.test_edges import shown

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

CASES = read_cases(Path(__file__).parent / "metric_cases")
FIVE = timedelta(minutes=5)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store that holds every case."""
    folder = tmp_path_factory.mktemp("metric_cases")
    batches = [one for number, case in enumerate(CASES) for one in _batches(number, case)]
    write_journal(folder / "journal", "cases-1", batches)
    opened = open_store(folder)
    opened.poll_once()
    yield opened
    opened.stop()


@pytest.fixture(scope="module")
def queries(store: Store) -> Queries:
    return Queries(store)


def _batches(number: int, case: Case) -> list[Batch]:
    rows = {"identities": case.identities(), "observations": case.observations(), "spans": case.spans()}
    rows["resources"] = [{"attributes": []}] if rows["spans"] else []
    rows = {name: listed for name, listed in rows.items() if listed}
    return [batch(f"rows {number}", **rows), batch(f"points {number}", **metric_tables(case))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_metric_edges(case: Case, queries: Queries) -> None:
    """Each case gives exactly its edges."""
    graph = queries.graph(GraphQuery(Window(case.noon, case.noon + FIVE)))
    names = {node["id"]: node_label(node).removesuffix(f" {node['version']}") for node in graph["nodes"]}
    assert len(set(names.values())) == len(names), "one thing, one node"
    wanted = case.tables["edges"]
    found = [shown(edge, graph, names, list(wanted[0])) for edge in graph["edges"]]
    assert sorted(map(str, found)) == sorted(map(str, wanted))
    assert graph["exact"] is (not any(edge["latency_from"] == "buckets" for edge in graph["edges"]))


@pytest.mark.slow
def test_sql_and_series_say_what_the_graph_says(store: Store, queries: Queries) -> None:
    """`edges` in SQL has the graph's numbers; a time series adds up to its edge; single requests there are none."""
    case = next(case for case in CASES if case.sentence.startswith("A counter's growth"))
    window = Window(case.noon, case.noon + FIVE)
    [edge] = queries.graph(GraphQuery(window))["edges"]
    with store.reader(window.from_time, window.to_time) as cursor:
        told = "select id, source, target, requests, errors, attempts from edges($start, $end)"
        values = {"start": window.from_time, "end": window.to_time}
        [row] = cursor.execute(told, values).fetchall()
    assert row == (edge["id"], edge["source"], edge["target"], 27, 2, None)
    for element in ({"edge": edge["id"]}, {"node": edge["target"]}):
        series = queries.timeseries(TimeseriesQuery(window, 60, **element))
        assert [point["requests"] for point in series["client"]] == [10, 17, 0, 0, 0]
        assert [point["errors"] for point in series["client"]] == [0, 2, None, None, None]
    assert queries.requests(RequestsQuery(window, edge=edge["id"]))["requests"] == []


@pytest.mark.slow
def test_increments_survive_a_restart_of_the_store(tmp_path: Path) -> None:
    """Points of a sealed and of an open journal make one counter, before and after the store starts again.

    So they do after the catalogue is lost: the segments' series are learned again.
    """
    case = next(case for case in CASES if case.sentence.startswith("A counter's growth"))
    points = metric_tables(case)
    early = [row for row in points["metric_points"] if row["time"] < case.noon + timedelta(seconds=60)]
    late = [row for row in points["metric_points"] if row not in early]
    question = GraphQuery(Window(case.noon, case.noon + FIVE))
    found = []
    for name, rows in (("early", early), ("late", late)):
        tables = {"resources": points["resources"], "metric_points": rows}
        write_journal(tmp_path / "journal", name, [batch(name, **tables)])
        store = open_store(tmp_path)
        store.poll_once(seal=name == "early")
        found.append([edge["requests"] for edge in Queries(store).graph(question)["edges"]])
        store.stop()
    assert found == [[10], [27]]
    (tmp_path / "catalogue.duckdb").write_bytes(b"nothing")
    store = open_store(tmp_path)
    store.poll_once()
    assert [edge["requests"] for edge in Queries(store).graph(question)["edges"]] == [27]
    store.stop()


@pytest.mark.slow
def test_a_real_stat_sink(tmp_path: Path) -> None:
    """Envoy 1.40's own export, with the resource its environment detector adds: what each cluster was asked, once.

    No edge leads to the proxy's telemetry clusters, nor comes from what it received.
    """
    bodies = json_lines("otlp_metrics_statsink.jsonl")
    for number, body in enumerate(bodies):
        name = {"key": "k8s.pod.name", "value": {"stringValue": f"proxy-{number}"}}
        space = {"key": "k8s.namespace.name", "value": {"stringValue": "default"}}
        for group in body["resourceMetrics"]:
            group["resource"]["attributes"] += [name, space]
    decoded = decode_metrics_json(exports(*(json.dumps(body).encode() for body in bodies)))
    marks = [mark(f"sink {number}") for number in range(len(bodies))]
    write_journal(tmp_path / "journal", "sink", [Batch(marks, dict(decoded.tables))])
    store = open_store(tmp_path)
    store.poll_once()
    start = datetime(2026, 11, 21, 12, 0)
    graph = Queries(store).graph(GraphQuery(Window(start, start + FIVE)))
    store.stop()
    services = {node["id"]: (node["service"], node["version"]) for node in graph["nodes"]}
    asked = {services[edge["target"]]: edge["codes"] for edge in graph["edges"]}
    reviews, ratings = "reviews.default.svc.cluster.local", "ratings.default.svc.cluster.local"
    assert asked == {
        (reviews, None): {
            "200": 23, "301": 1, "400": 1, "401": 1, "404": 1, "429": 1, "500": 1, "502": 1, "503": 3, "504": 2
        },
        (reviews, "v1"): {"200": 1},
        (reviews, "v9"): {"503": 1},
        (reviews, "cb"): {"200": 1, "503": 5},
        (ratings, None): {"200": 9, "504": 1},
    }  # fmt: skip
    assert {edge["latency_from"] for edge in graph["edges"]} == {"buckets", "rows"}


@pytest.mark.slow
def test_real_label_sets(tmp_path: Path) -> None:
    """Series as public Prometheus scrapes show them: an outside host, an unknown caller, TCP between two clusters."""
    rows = [_scraped(*series) for series in _SCRAPED]
    tables = {"resources": [{"attributes": [("service.name", "istio-mesh")]}], "metric_points": rows}
    write_journal(tmp_path / "journal", "labels", [batch("labels", **tables)])
    store = open_store(tmp_path)
    store.poll_once()
    graph = Queries(store).graph(GraphQuery(Window(NOON, NOON + FIVE)))
    store.stop()
    nodes = {node["id"]: node for node in graph["nodes"]}
    names = ("kind", "cluster", "workload", "service", "version")
    found = [
        (
            *(tuple(nodes[edge[end]][name] for name in names) for end in ("source", "target")),
            edge["protocol"], edge["requests"], edge["reporter"], edge["mtls"],
        )
        for edge in graph["edges"]
    ]  # fmt: skip
    outside = ("external", None, None, "www.wikipedia.org", None)
    nginx = ("workload", "Kubernetes", "my-nginx", "my-nginx.default.svc.cluster.local", None)
    httpbin = ("workload", "cluster2", "httpbin", "httpbin.default.svc.cluster.local", "v1")
    nobody = ("unknown", None, None, None, None)
    assert sorted(found, key=str) == sorted(
        [
            (("workload", "Kubernetes", "sleep", None, None), outside, "http", 513, "source", None),
            (nobody, nginx, "http", 9, "destination", 0.0),
            (("workload", "cluster1", "curl", None, None), httpbin, "tcp", 1, "destination", 1.0),
        ],
        key=str,
    )


def _scraped(name: str, labels: str, value: int) -> dict[str, Any]:
    """A sample of a text exposition as a delta point."""
    return {
        "name": name, "type": "sum", "temporality": "delta", "monotonic": True, "value": float(value),
        "time": NOON + timedelta(seconds=30), "start_time": NOON,
        "attributes": re.findall(r'(\w+)="([^"]*)"', labels),
    }  # fmt: skip


# From public issues and istio/ztunnel's tests (research sample prometheus_istio.txt), label sets whole.
_SCRAPED = [
    (
        "istio_requests_total",
        'response_code="200",reporter="source",source_workload="sleep",source_workload_namespace="default",'
        'source_principal="unknown",source_app="sleep",source_version="unknown",source_cluster="Kubernetes",'
        'destination_workload="unknown",destination_workload_namespace="unknown",destination_principal="unknown",'
        'destination_app="unknown",destination_version="unknown",destination_service="www.wikipedia.org",'
        'destination_service_name="www.wikipedia.org",destination_service_namespace="unknown",'
        'destination_cluster="unknown",request_protocol="http",response_flags="-",grpc_response_status="",'
        'connection_security_policy="unknown",source_canonical_service="sleep",'
        'destination_canonical_service="unknown",source_canonical_revision="latest",'
        'destination_canonical_revision="latest"',
        513,
    ),
    (
        "istio_requests_total",
        'response_code="200",reporter="destination",source_workload="unknown",source_workload_namespace="unknown",'
        'source_principal="unknown",source_app="unknown",source_version="unknown",source_cluster="unknown",'
        'destination_workload="my-nginx",destination_workload_namespace="default",destination_principal="unknown",'
        'destination_app="my-nginx",destination_version="unknown",'
        'destination_service="my-nginx.default.svc.cluster.local",destination_service_name="my-nginx",'
        'destination_service_namespace="default",destination_cluster="Kubernetes",request_protocol="http",'
        'response_flags="-",grpc_response_status="",connection_security_policy="none",'
        'source_canonical_service="unknown",destination_canonical_service="my-nginx",'
        'source_canonical_revision="latest",destination_canonical_revision="latest"',
        9,
    ),
    (
        "istio_tcp_connections_opened_total",
        'reporter="destination",source_workload="curl",source_canonical_service="curl",'
        'source_canonical_revision="latest",source_workload_namespace="default",'
        'source_principal="spiffe://cluster.local/ns/default/sa/curl",source_app="curl",source_version="latest",'
        'source_cluster="cluster1",destination_service="httpbin.default.svc.cluster.local",'
        'destination_service_namespace="default",destination_service_name="httpbin",'
        'destination_workload="httpbin",destination_canonical_service="httpbin",'
        'destination_canonical_revision="v1",destination_workload_namespace="default",'
        'destination_principal="spiffe://cluster.local/ns/default/sa/httpbin",destination_app="httpbin",'
        'destination_version="v1",destination_cluster="cluster2",request_protocol="tcp",response_flags="-",'
        'connection_security_policy="mutual_tls",source_region="unknown",source_zone="unknown",'
        'destination_region="unknown",destination_zone="unknown"',
        1,
    ),
]
