"""The side panel of what is selected in the graph: numbers, charts, views, codes, latest requests.

Everything it says is of one time span, the graph's own `from` and `to`, so that numbers agree. Two
callbacks: one reads only what the graph already said, one asks the store for series and rows. The
skeleton is never replaced: an update changes texts and figures in place, so nothing flickers and the panel
keeps its scroll position.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from dashboard import ids
from dashboard.ask import ask
from dashboard.figures import latency_figure, rate_figure, success_figure
from dashboard.figures.style import GRAPH_CONFIG, calm_figure
from dashboard.pages import panel_view
from dashboard.pages.requests_table import requests_table
from dashboard.view_state import ViewState
from dashboard.wording import milliseconds, moment, percent, rate
from store.errors import BadQuery
from store.query_types import RequestsQuery, TimeseriesQuery

SUBJECT = "panel-subject"  # {"selection", "graph"} while something is selected and the graph is on screen
# The subject, with {"side", "outcome"}, that series and rows are asked of: a newer one of the same element waits
# for the answer. Asked at every tick, a store slower than the ticks would never be heard: Dash drops the
# answer to a question that was put again.
ASKED = "panel-asked"
TITLE, FACTS, VIEWS, NEAR, CODES = "panel-title", "panel-facts", "panel-views", "panel-near", "panel-codes"
BODY, REQUESTS, TROUBLE = "panel-body", "panel-requests", "panel-trouble"
CHARTS = ("panel-rate", "panel-success", "panel-latency")
SIDE, OUTCOME = "panel-side", "panel-outcome"
TRACES = "panel-traces"
LATEST = 20
_CLOSES: Any = {"aria-label": "close the panel"}  # Dash types no aria attribute


def layout(state: ViewState) -> list[Any]:
    """The skeleton; `ids.PANEL` holds it."""
    close = html.Button(
        "×", id=ids.PANEL_CLOSE, className="panel-close", title="close (Esc)", type="button", n_clicks=0,
        **_CLOSES,
    )  # fmt: skip
    charts = [
        html.Section(
            [
                html.H3([heading, html.Span(id=f"{ident}-now", className="now")]),
                dcc.Graph(
                    id=ident,
                    figure=calm_figure([], height_px=96),
                    config=GRAPH_CONFIG,
                    className="chart",
                    responsive=True,
                ),
            ],
            className=f"chart-box chart-{heading.lower()}",
        )
        for ident, heading in zip(CHARTS, ("Rate", "Success", "Latency"), strict=True)
    ]
    return [
        dcc.Store(id=SUBJECT),
        dcc.Store(id=ASKED),
        html.Div([html.Div(id=TITLE, className="panel-title"), close], className="panel-head"),
        html.Div(
            [
                html.P(id=TROUBLE, className="panel-trouble", role="status", hidden=True),
                html.Dl(id=FACTS, className="tiles"),
                html.Div(
                    [_choice(SIDE, {"client": "Client view", "server": "Server view"}, "client", "View")],
                    className="panel-choice",
                ),
                *charts,
                html.Section(id=VIEWS),
                html.Section(id=CODES),
                html.Section(id=NEAR),
                html.Section(
                    [
                        html.Div(
                            [
                                html.H3("Latest requests"),
                                dcc.Link("all traces", href="/traces", id=TRACES),
                                _choice(OUTCOME, {"all": "All", "error": "Failed"}, "all", "Which requests"),
                            ],
                            className="panel-choice",
                        ),
                        html.Div(id=REQUESTS),
                    ]
                ),
            ],
            id=BODY,
            className="panel-body",
            hidden=True,
        ),
    ]


def _choice(ident: str, options: dict[str, str], value: str, label: str) -> html.Div:
    radio = dcc.RadioItems(options, value, id=ident, className="segments", inline=True)
    return html.Div([html.Span(label, className="for-readers", id=f"{ident}-label"), radio])


def register(app: Dash, queries: Any) -> None:
    """The panel's callbacks."""
    app.clientside_callback(
        ClientsideFunction("sidelightPanel", "subject"),
        Output(SUBJECT, "data"),
        Input(ids.SELECTION, "data"),
        Input(ids.GRAPH, "data"),
        Input(ids.LOCATION, "pathname"),
    )
    app.clientside_callback(
        ClientsideFunction("sidelightPanel", "ask"),
        Output(ASKED, "data"),
        Input(SUBJECT, "data"),
        Input(SIDE, "value"),
        Input(OUTCOME, "value"),
        State(ids.VIEW, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("sidelightPanel", "answered"),
        Input(REQUESTS, "children"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output(TITLE, "children"),
        Output(FACTS, "children"),
        Output(VIEWS, "children"),
        Output(NEAR, "children"),
        Output(CODES, "children"),
        Output(TRACES, "href"),
        Output(BODY, "hidden"),
        Input(SUBJECT, "data"),
        prevent_initial_call=True,
    )
    async def describe(held: Any) -> list[Any]:
        return described(held)

    @app.callback(
        *[Output(ident, "figure") for ident in CHARTS],
        *[Output(f"{ident}-now", "children") for ident in CHARTS],
        Output(REQUESTS, "children"),
        Output(TROUBLE, "children"),
        Output(TROUBLE, "hidden"),
        Input(ASKED, "data"),
        State(ids.VIEW, "data"),
        prevent_initial_call=True,
    )
    async def measure(held: Any, view: Any) -> list[Any]:
        found = _found(held)
        if found is None:
            raise PreventUpdate
        params, side = question(held, view), held.get("side")
        wanted = params | rows_params(side, held.get("outcome"))
        try:
            series, rows = await asyncio.gather(
                ask(queries.timeseries, TimeseriesQuery.from_params(params)),
                ask(queries.requests, RequestsQuery.from_params(wanted)),
            )
        except BadQuery as error:
            nothing: list[dict[str, Any]] = []
            words = f"{error.message} {error.hint or ''}".strip()
            return [*charted(nothing, 1.0, ""), requests_table([]), words, False]
        points = series.get("server" if side == "server" else "client") or []
        counters = panel_view.is_counted_by_metrics(held["graph"], *found)
        table = requests_table(rows.get("requests") or [], peers=found[0] == "node", counters=counters)
        return [*charted(points, series.get("step_s") or 1.0, f"{held['selection']}{side}"), table, "", True]


def _found(held: Any) -> tuple[str, dict[str, Any]] | None:
    held = held or {}
    return panel_view.subject_of(held.get("graph"), held.get("selection"))


def described(held: Any) -> list[Any]:
    """Title, facts, views, neighbours, codes, the link to its traces, and whether the body is hidden."""
    found = _found(held)
    if found is None:
        return [panel_view.nothing_here(), [], [], [], [], "/traces", True]
    kind, item = found
    graph = held["graph"]
    edges = (graph.get("edges") or {}).values()
    into = [item] if kind == "edge" else [edge for edge in edges if edge["target"] == item["id"]]
    return [
        panel_view.title(graph, kind, item),
        panel_view.facts(kind, item, seconds_between(graph.get("from"), graph.get("to"))),
        panel_view.views(item) if kind == "edge" else [],
        panel_view.neighbours(graph, item) if kind == "node" else [],
        panel_view.code_bars(into),
        f"/traces?{urlencode(question(held))}",
        False,
    ]


def question(held: dict[str, Any], view: Any = None) -> dict[str, str]:
    """What to ask the store about the selection: its id, the graph's time span, what counts as success, what
    is counted at all."""
    selection, graph = held["selection"], held["graph"]
    params = {selection["kind"]: selection["id"], "from": graph["from"], "to": graph["to"]}
    if not view:
        return params
    state = ViewState.from_json(view)
    return params | {"success": state.success} | ({"background": "1"} if state.background else {})


def rows_params(side: str | None, outcome: str | None) -> dict[str, str]:
    """The further parameters of /api/requests for the two switches."""
    view = {"view": "server" if side == "server" else "client", "limit": str(LATEST)}
    return view | ({"outcome": "error"} if outcome == "error" else {})


def charted(points: list[dict[str, Any]], step_s: float, keep: str) -> list[Any]:
    """The three figures and the last known value of each."""
    p95 = panel_view.latest(points, "p95_ms", milliseconds)
    return [
        rate_figure(points, step_s=step_s, keep=keep),
        success_figure(points, keep=keep),
        latency_figure(points, keep=keep),
        panel_view.latest(points, "rate", rate),
        panel_view.latest(points, "success_rate", percent),
        f"p95 {p95}",
    ]


def seconds_between(start: str | None, end: str | None) -> float:
    """Length of a time span in seconds; 0 where it is not known."""
    first, last = moment(start), moment(end)
    return (last - first).total_seconds() if first and last else 0.0
