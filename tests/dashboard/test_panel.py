"""The side panel: what it says of a node and an edge, and that it never guesses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dash import dcc, html

from dashboard import flags, wording
from dashboard.pages import gap, panel, panel_view, traces
from dashboard.pages.requests_table import requests_table, trace_path
from fixtures.traces import TRACE_ID
from tests.dashboard import answers, bookinfo

HOSTILE = '<img src=x onerror="alert(1)">\u202e"'


def text_of(part: Any) -> str:
    """All text below a component, as a reader meets it."""
    if part is None:
        return ""
    if isinstance(part, (list, tuple)):
        return " ".join(text_of(each) for each in part)
    return text_of(part.children) if hasattr(part, "children") else str(part)


def parts_of(part: Any) -> list[Any]:
    """A component and everything below it."""
    if isinstance(part, (list, tuple)):
        return [found for each in part for found in parts_of(each)]
    below = parts_of(getattr(part, "children", None)) if hasattr(part, "children") else []
    return [part, *below]


def held(kind: str, pick: Any = None, **more: Any) -> dict[str, Any]:
    """What the browser holds when the picked node or edge of bookinfo is selected."""
    graph = bookinfo.graph()
    item = next(each for each in graph[f"{kind}s"] if pick is None or pick(each)) | more
    items = {each["id"]: each for each in graph[f"{kind}s"]} | {item["id"]: item}
    summary = {
        "from": graph["from"],
        "to": graph["to"],
        "nodes": {each["id"]: each for each in graph["nodes"]},
        "edges": {each["id"]: each for each in graph["edges"]},
    } | {f"{kind}s": items}
    return {"selection": {"kind": kind, "id": item["id"]}, "graph": summary}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 %"),
        (1, "100 %"),
        (0.99999, "99.99 %"),
        (0.997, "99.7 %"),
        (0.00001, "0.01 %"),
        (0.5, "50.0 %"),
    ],
)
def test_percent_reads_as_100_only_when_it_is(value: float | None, text: str) -> None:
    """Neither a rounding up to 100 % nor a rounding down to 0 % hides what happened."""
    assert wording.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0123, "12 µs"),
        (12.345, "12.3 ms"),
        (999.7, "1 s"),
        (61000, "1 m 1 s"),
        (float("nan"), "–"),
    ],
)
def test_durations_have_the_unit_that_fits(value: float | None, text: str) -> None:
    """A duration is read at a glance; one that is not known is a dash."""
    assert wording.milliseconds(value) == text


@pytest.mark.parametrize(
    ("edge", "words"),
    [
        (
            {"requests": 300, "attempts": 303, "server": {"requests": 303, "errors": 3}, "errors": 0},
            [
                "3 retries: 300 requests became 303 attempts.",
                "3 failures of the called side never reached a caller: retried.",
            ],
        ),
        (
            {
                "requests": 100,
                "attempts": 80,
                "flags": {"FI": 20},
                "server": {"requests": 80, "errors": 0},
                "errors": 20,
            },
            ["20 requests were never sent on (20 fault injected)."],
        ),
        (
            {
                "requests": 10,
                "attempts": 10,
                "flags": {"UF": 4},
                "server": {"requests": 6, "errors": 0},
                "errors": 4,
            },
            ["4 attempts never arrived (4 connection failed)."],
        ),
        (
            {"requests": 10, "attempts": 10, "server": {"requests": 10, "errors": 0}, "errors": 0},
            ["Everything that was sent arrived, once."],
        ),
        (
            {"requests": 10, "attempts": None, "server": {"requests": 12, "errors": 0}, "errors": 0},
            ["How often a request was tried is not known here; 2 more arrived than were asked: retries."],
        ),
        (
            {"requests": 25, "attempts": 0, "flags": {"UO": 25}, "server": None, "errors": 25},
            ["25 requests were never sent on (25 circuit breaker open)."],
        ),
        (
            {"requests": 10, "attempts": 10, "server": None},
            ["Only the callers' side reports here: what arrived is not known."],
        ),
        (
            {"requests": 10, "attempts": None, "reporter": "destination", "server": {"requests": 10}},
            ["Only the called side reports here: the caller has no proxy, or none that sends telemetry."],
        ),
    ],
)
def test_the_gap_between_both_views_is_explained_in_words(edge: dict[str, Any], words: list[str]) -> None:
    """Retries, what was never sent and what never arrived are told apart; the unknown is called unknown."""
    assert gap.gap_words(edge) == words


def test_an_edge_shows_both_views_the_share_and_codes() -> None:
    """The canary edge says who calls whom, its share, both views side by side, and its codes."""
    found = panel.described(held("edge", lambda edge: edge["share"] == 0.1004))
    title, facts, views, near, codes, href, hidden = found
    assert href.startswith("/traces?edge=")
    assert "productpage-v1" in text_of(title)
    assert "reviews-v2" in text_of(title)
    assert "10.0 %" in text_of(facts)
    assert "client view" in text_of(views)
    assert "server view" in text_of(views)
    assert "200" in text_of(codes)
    assert near == []
    assert hidden is False


def test_a_node_shows_its_neighbours_and_each_opens_its_edge() -> None:
    """A node lists who calls it and whom it calls, as buttons that select the edge."""
    found = panel.described(held("node", lambda node: node["workload"] == "productpage-v1"))
    near = found[3]
    assert "Called by" in text_of(near)
    buttons = [part for part in parts_of(near) if isinstance(part, html.Button)]
    edges = {edge["id"] for edge in bookinfo.graph()["edges"]}
    assert buttons
    assert {getattr(button, "data-pick-edge") for button in buttons} <= edges


def test_what_is_not_known_is_a_dash() -> None:
    """An edge of which only its existence is known shows dashes, not zeros."""
    numbers = ("requests", "rate", "errors", "success_rate", "p50_ms", "p95_ms", "p99_ms", "mtls", "attempts",
               "request_bytes", "response_bytes", "server", "share")  # fmt: skip
    found = panel.described(held("edge", None, **dict.fromkeys(numbers)))
    values = [part.children for part in parts_of(found[1]) if isinstance(part, html.Dd)]
    assert set(values) == {"–"}
    cells = [part.children for part in parts_of(found[2]) if isinstance(part, html.Td)]
    assert set(cells) == {"–"}


def test_the_server_view_alone_is_not_shown_as_the_callers() -> None:
    """Where only the called side reports, the client view is not known."""
    found = panel.described(held("edge", None, reporter="destination"))
    rows = [part for part in parts_of(found[2]) if isinstance(part, html.Tr)][1:]
    assert {row.children[1].children for row in rows} == {"–"}


@pytest.mark.parametrize(
    "selection", [None, {}, {"kind": "edge", "id": "gone"}, {"kind": "__class__", "id": "x"}]
)
def test_a_selection_that_is_not_in_the_graph_says_so(selection: Any) -> None:
    """Something selected that has no traffic in the window leaves a sentence, and no numbers."""
    graph = held("edge")["graph"]
    found = panel.described({"selection": selection, "graph": graph})
    assert "Nothing in this window" in text_of(found[0])
    assert found[-1] is True


def test_series_and_rows_are_asked_for_the_graphs_own_time() -> None:
    """All numbers of the panel are of the same seconds: those of the graph."""
    given = held("edge")
    params = panel.question(given, {"success": "4xx"})
    assert params["success"] == "4xx"
    assert params["edge"] == given["selection"]["id"]
    assert (params["from"], params["to"]) == (given["graph"]["from"], given["graph"]["to"])
    assert panel.rows_params("server", "error") == {"view": "server", "limit": "20", "outcome": "error"}


def test_requests_name_flags_and_link_their_traces() -> None:
    """Each request shows code, flags with their meaning, and a link to its trace if it has a real id."""
    table = requests_table(answers.requests()["requests"])
    links = [part.href for part in parts_of(table) if isinstance(part, dcc.Link)]
    assert len(links) == 18  # of twenty, one has no trace and one an id that is none
    assert links[0] == f"/traces/{TRACE_ID}?span=119d449aeb7575b4"
    titles = [part.title for part in parts_of(table) if isinstance(part, html.Abbr)]
    assert any("connection failed" in title for title in titles)
    assert "3 attempts" in text_of(table)
    assert "TCP" in text_of(table)


def test_what_metrics_counted_has_no_rows_and_says_so() -> None:
    """An edge of counters, and a node all of whose edges are, has no single requests to wait for."""
    edge = held("edge", None, counted_from="metric")
    item = edge["graph"]["edges"][edge["selection"]["id"]]
    assert panel_view.is_counted_by_metrics(edge["graph"], "edge", item)
    assert "no single requests are kept" in text_of(requests_table([], counters=True))
    node = edge["graph"]["nodes"][item["target"]]
    assert not panel_view.is_counted_by_metrics(edge["graph"], "node", node)  # its other edges have rows
    assert "no single requests" not in text_of(requests_table([], counters=False))
    only = edge["graph"] | {"edges": {item["id"]: item}}
    assert panel_view.is_counted_by_metrics(only, "node", node)


@pytest.mark.parametrize(
    ("trace_id", "span_id", "path"),
    [
        ("a" * 32, "b" * 16, "/traces/" + "a" * 32 + "?span=" + "b" * 16),
        ("a" * 32, None, "/traces/" + "a" * 32),
        ("a" * 32, "../../x", "/traces/" + "a" * 32),
        ("javascript:alert(1)", None, None),
        ("A" * 32, None, None),
        (None, None, None),
    ],
)
def test_only_real_ids_become_links(trace_id: Any, span_id: Any, path: str | None) -> None:
    """A link holds nothing of telemetry but hexadecimal digits."""
    assert trace_path(trace_id, span_id) == path


def test_hostile_text_is_only_ever_text() -> None:
    """A hostile name, path, flag or code is text or a plain attribute, never markup or a link."""
    row = answers.request(0, path=HOSTILE, method=HOSTILE, authority=HOSTILE, response_flags=[HOSTILE],
                          response_code_details=HOSTILE, trace_id=HOSTILE, outcome=HOSTILE)  # fmt: skip
    nodes = panel.described(held("node", None, workload=HOSTILE, namespace=HOSTILE, version=HOSTILE))
    edges = panel.described(
        held("edge", None, codes={HOSTILE: 1}, grpc_codes={HOSTILE: 1}, flags={HOSTILE: 1})
    )
    listed = traces.trace_list([answers.traces()["traces"][0] | {"root_name": HOSTILE, "trace_id": HOSTILE}])
    for part in parts_of([requests_table([row], peers=True), nodes, edges, listed]):
        assert not isinstance(part, (dcc.Markdown, html.Iframe, html.Script))
        assert HOSTILE not in str(getattr(part, "href", ""))
        assert HOSTILE not in str(getattr(part, "className", ""))
    assert HOSTILE in text_of(requests_table([row]))


def test_a_flag_nobody_knows_is_still_shown() -> None:
    """Envoy lets anyone register flags, so an unknown one gets a neutral description."""
    assert flags.flag("MINE").title == "another flag"
    assert flags.meanings(["UF", "MINE", "UF"]).keys() == {"UF", "MINE"}


def test_the_search_asks_only_what_the_form_has() -> None:
    """What the browser holds becomes parameters of /api/traces: known names, as text, and a window."""
    asked = {"service": "reviews", "errors": "1", "min_duration_ms": "", "window": "1h", "at": 5, "evil": "x"}
    assert traces.question(asked) == {"service": "reviews", "errors": "1", "window": "1h", "limit": "100"}
    assert traces.question(None) == {"window": "15m", "limit": "100"}
    assert "window" not in traces.question({"from": "2026-11-21T12:00:00Z", "to": "2026-11-21T12:05:00Z"})


def test_an_empty_search_teaches() -> None:
    """With nothing found, the page says why there may be no traces and what to run."""
    assert "randomSamplingPercentage: 100" in text_of(traces.nothing_found({"window": "15m"}))
    assert "Ask for less" in text_of(traces.nothing_found({"window": "15m", "service": "reviews"}))


def test_the_layouts_are_plain_json() -> None:
    """The skeletons can be sent to a browser, and every id in them is there once."""
    from dashboard.pages import trace
    from dashboard.view_state import ViewState

    found = [page.layout(ViewState()) for page in (panel, traces, trace)]
    names = [part.id for part in parts_of(found) if getattr(part, "id", None)]
    assert len(names) == len(set(names))
    json.dumps(
        [part.to_plotly_json() for page in found for part in page], default=lambda part: part.to_plotly_json()
    )
