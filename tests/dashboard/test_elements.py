"""From graph JSON to drawing: boxes, words, and patches that say only what changed."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from dashboard.graph import decorate, elements
from dashboard.graph.summary import summarise
from tests.dashboard.bookinfo import GOLDEN, graph


@pytest.fixture
def bookinfo() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


def drawn(graph_json: dict[str, Any], label: str = "rate") -> elements.Elements:
    return elements.build(graph_json, elements.place(graph_json, None), label)


def by_name(found: elements.Elements, name: str) -> dict[str, Any]:
    return next(e for e in found.values() if e["data"].get("name") == name)


def test_the_golden_is_current() -> None:
    """The fixture is what its generator writes."""
    assert json.loads(GOLDEN.read_text()) == graph()


def test_boxes(bookinfo: dict[str, Any]) -> None:
    """Versions stand in their app's box, that in its namespace's; a lone version has no app box."""
    found = drawn(bookinfo)
    assert by_name(found, "reviews-v2")["parent"] == "app:default/reviews"
    assert found["app:default/reviews"]["parent"] == "ns:default"
    assert by_name(found, "details-v1")["parent"] == "ns:default"
    assert by_name(found, "unknown")["parent"] is None
    order = list(found)
    assert all(order.index(e["parent"]) < order.index(i) for i, e in found.items() if e["parent"])


def test_a_cluster_is_named_only_beside_another(bookinfo: dict[str, Any]) -> None:
    """In a mesh of one cluster a service's own node, which has no cluster, stands with its versions."""
    graph_json = json.loads(json.dumps(bookinfo))
    for one in graph_json["nodes"]:
        if one["kind"] == "workload" and one["namespace"]:
            one["cluster"] = "east"
    found = drawn(graph_json)
    assert by_name(found, "reviews-v2")["parent"] == "app:default/reviews"
    next(one for one in graph_json["nodes"] if one["workload"] == "reviews-v1")["cluster"] = "west"
    found = drawn(graph_json)
    assert by_name(found, "reviews-v1")["parent"] == "ns:west/default"
    assert by_name(found, "reviews-v2")["parent"] == "app:east/default/reviews"


def test_the_split_stands_on_canary_edges(bookinfo: dict[str, Any]) -> None:
    """Each canary edge says its percent; an edge to the only version says none."""
    found = drawn(bookinfo, "off")
    page = next(i for i, e in found.items() if e["data"].get("name") == "productpage-v1")
    labels = sorted(e["data"]["label"] for e in found.values() if e["data"].get("source") == page)
    assert labels == ["", "", "10 %", "10 %", "80 %"]


@pytest.mark.parametrize(
    ("label", "text"),
    [("rate", "19.9/s"), ("error", "10.0 % err"), ("p50", "2.1 ms"), ("p99", "8.4 ms"), ("off", "")],
)
def test_labels(bookinfo: dict[str, Any], label: str, text: str) -> None:
    """The chosen number is on the edge."""
    found = drawn(bookinfo, label)
    details = next(i for i, e in found.items() if e["data"].get("name") == "details-v1")
    assert [e["data"]["label"] for e in found.values() if e["data"].get("target") == details] == [text]


def test_patches(bookinfo: dict[str, Any]) -> None:
    """Applying a difference gives the new drawing; an equal drawing gives an empty one."""
    old = drawn(bookinfo)
    assert not any(elements.diff(old, drawn(bookinfo)).values())
    changed = copy.deepcopy(bookinfo)
    changed["edges"][0]["rate"] = 77.0
    gone = next(n for n in changed["nodes"] if n["workload"] == "reviews-v3")
    changed["nodes"] = [n for n in changed["nodes"] if n is not gone]
    changed["edges"] = [e for e in changed["edges"] if gone["id"] not in (e["source"], e["target"])]
    new = elements.build(changed, elements.place(changed, elements.place(bookinfo, None)), "rate")
    patch = elements.diff(old, new)
    assert elements.apply(old, patch) == new
    assert gone["id"] in patch["drop"]
    assert len(patch["data"]) == 1


def test_hostile_names(bookinfo: dict[str, Any]) -> None:
    """Names are cut and lose control characters; nothing else is done to them, they stay text."""
    name = "<img src=x onerror=alert(1)>" + "\u202e\x00\n😀" + "x" * 10_000
    bookinfo["nodes"][2]["workload"] = name
    bookinfo["nodes"][2]["namespace"] = name
    data = drawn(bookinfo)[bookinfo["nodes"][2]["id"]]["data"]
    assert len(data["name"]) <= decorate.NAME_LENGTH
    assert len(data["says"]) < 600
    assert not any(c in data["name"] + data["says"] for c in "\x00\n\u202e")


def test_an_empty_graph(bookinfo: dict[str, Any]) -> None:
    """Nothing in, nothing out."""
    empty = {**bookinfo, "nodes": [], "edges": []}
    assert drawn(empty) == {}
    assert summarise(empty).success is None
    assert summarise(empty).p95_ms is None


def test_summary(bookinfo: dict[str, Any]) -> None:
    """Sums over HTTP and gRPC edges; the slowest edge is named."""
    found = summarise(bookinfo)
    calls = [e for e in bookinfo["edges"] if e["protocol"] != "tcp"]
    assert found.rate == pytest.approx(sum(e["requests"] for e in calls) / 300)
    assert found.slowest == "productpage-v1 → api.stripe.com"
    assert found.workloads == 9


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0/s"),
        (0.0001, "<0.001/s"),
        (0.0168, "0.017/s"),
        (2, "2/s"),
        (27.83, "27.8/s"),
        (999.7, "1k/s"),
        (None, "–"),
    ],
)
def test_rates(rate: float | None, text: str) -> None:
    """Three digits at most, and a trifle is not zero."""
    assert decorate.short_rate(rate) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, ""), (1.0, ""), (0.8, "80 %"), (0.1004, "10 %"), (0.004, "<1 %"), (0.998, ">99 %"), (0, "0 %")],
)
def test_splits(share: float | None, text: str) -> None:
    """A split that rounds to all or nothing is not said to be that."""
    assert decorate.split(share) == text


@pytest.mark.parametrize(
    ("requests", "errors", "client_gone", "health"),
    [
        (5, 0, 0, "healthy"),
        (1000, 1, 0, "degraded"),
        (10, 1, 0, "failing"),
        (20, 1, 10, "failing"),
        (5, 0, 5, "unknown"),
        (5, None, 0, "unknown"),
        (0, 0, 0, "idle"),
    ],
)
def test_edge_health(requests: int, errors: int | None, client_gone: int, health: str) -> None:
    """Kiali's default thresholds, over the requests that were judged."""
    edge = {"requests": requests, "errors": errors, "client_gone": client_gone, "unknown": 0}
    assert decorate.edge_health(edge) == health


def test_widths() -> None:
    """Width grows with the logarithm of the rate, within bounds."""
    widths = [decorate.edge_width(r) for r in (None, 0, 0.01, 1, 10, 100, 1e9)]
    assert widths == sorted(widths)
    assert (widths[0], widths[-1]) == (1.2, 7.0)
