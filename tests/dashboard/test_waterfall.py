"""What is sent to the waterfall: a trace, once each, in order, with every flag explained."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dash.exceptions import PreventUpdate

from dashboard.pages import trace
from dashboard.waterfall import COLOURS, LONGEST_VALUE, error_count, service_of, waterfall_payload
from fixtures.traces import GOLDEN, bookinfo_trace, large_trace

TRACE = bookinfo_trace()


def test_the_golden_trace_is_what_its_maker_makes() -> None:
    """fixtures/golden/trace_bookinfo.json is written by `make golden` and by nothing else."""
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == TRACE


def test_spans_keep_order_and_depth() -> None:
    """The script finds subtrees by depth-first order, so neither order nor depth is touched."""
    drawn = waterfall_payload(TRACE)["spans"]
    assert [(s["span_id"], s["depth"]) for s in drawn] == [(s["span_id"], s["depth"]) for s in TRACE["spans"]]


def test_a_proxy_shares_the_colour_of_its_application() -> None:
    """`productpage.default`, as Envoy calls itself, and `productpage`, as the application does, are one."""
    proxy = {"service": "productpage.default", "namespace": "default", "is_proxy": True}
    assert service_of(proxy) == "productpage"
    assert service_of(proxy | {"is_proxy": False}) == "productpage.default"
    assert service_of({"service": None, "workload": None}) == "unknown"
    names = [service["name"] for service in waterfall_payload(TRACE)["services"]]
    assert names == ["istio-ingressgateway", "productpage", "details", "reviews", "ratings"]


def test_resources_are_sent_once() -> None:
    """Spans of one process share its resource by number."""
    drawn = waterfall_payload(TRACE)
    assert len(drawn["resources"]) == 9
    for before, after in zip(TRACE["spans"], drawn["spans"], strict=True):
        assert drawn["resources"][after["resource"]] == before["resource"]


def test_services_beyond_the_colours_start_again() -> None:
    """There are ten colours; the eleventh service has the first one's."""
    drawn = waterfall_payload(large_trace(200, services=14))
    assert max(service["colour"] for service in drawn["services"]) == COLOURS - 1
    assert all(service["index"] == at for at, service in enumerate(drawn["services"]))
    assert sum(service["spans"] for service in drawn["services"]) == 200


def test_every_flag_of_the_trace_is_explained() -> None:
    """The browser needs no table of flags of its own."""
    assert waterfall_payload(TRACE)["flags"]["FI"]["title"] == "fault injected"


def test_endless_values_are_cut() -> None:
    """One attribute of a megabyte does not travel to the browser."""
    span = TRACE["spans"][0] | {"attributes": {"body": "x" * 1_000_000, "number": 3}}
    drawn = waterfall_payload(TRACE | {"spans": [span]})["spans"][0]
    assert len(drawn["attributes"]["body"]) == LONGEST_VALUE + 1
    assert drawn["attributes"]["number"] == 3


def test_spans_with_nothing_known_are_drawn() -> None:
    """Null lists and maps do not stop the page."""
    bare = dict.fromkeys(TRACE["spans"][0]) | {"span_id": "01", "start_ms": 0.0, "depth": 0}
    drawn = waterfall_payload({"trace_id": "0" * 32, "spans": [bare]})
    assert drawn["spans"][0]["attributes"] == {}
    assert drawn["services"][0]["name"] == "unknown"


def test_the_header_says_what_matters_first() -> None:
    """Root, duration, spans, services, failed spans and start are on top."""
    from tests.dashboard.test_panel import text_of

    said = text_of(trace.header(TRACE))
    for words in (
        "istio-ingressgateway",
        "66.8 ms",
        "22",
        "5",
        "2026-11-21 12:23:42.365 UTC",
        TRACE["trace_id"],
    ):
        assert words in said
    assert error_count(TRACE) == 7


def test_the_same_trace_is_not_sent_again() -> None:
    """While a young trace is asked for again, an answer without news changes nothing."""
    payload, held, *_rest = trace.shown(TRACE, None)
    assert payload["grpc_names"] == {"14": "UNAVAILABLE"}
    with pytest.raises(PreventUpdate):
        trace.shown(TRACE, held)
    grown = TRACE | {"spans": [*TRACE["spans"], TRACE["spans"][-1]]}
    assert trace.shown(grown, held)[1]["spans"] == len(TRACE["spans"]) + 1


@pytest.mark.parametrize("answer", [None, {}, {"trace_id": "x", "spans": []}])
def test_a_trace_that_is_not_stored_says_why(answer: Any) -> None:
    """An unknown trace leaves a sentence, not an empty page."""
    payload, _held, _head, trouble, hidden = trace.shown(answer, None)
    assert payload is None
    assert "No span of this trace is stored" in trouble
    assert hidden is False
