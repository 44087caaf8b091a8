"""The frame around all pages: header, navigation, shared stores. Pages are mounted once and hidden.

The graph keeps its canvas, zoom and drags because it is never unmounted.
"""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from dashboard import ids
from dashboard.pages import controls
from dashboard.view_state import ViewState

LABEL: Any = {"aria-label": "Pages"}
NAV_GRAPH, NAV_TRACES, NAV_STATUS = "nav-graph", "nav-traces", "nav-status"
CLOCK, SINK = "clock", "shell-sink"


def layout(pages: dict[str, Any]) -> html.Div:
    """``pages``: page id (`ids.PAGE_…`) → its children."""
    return html.Div(
        [
            dcc.Location(id=ids.LOCATION, refresh="callback-nav"),
            dcc.Store(id=ids.VIEW),
            dcc.Store(id=ids.SELECTION),
            dcc.Store(id=ids.TICK),
            dcc.Store(id=ids.GRAPH),
            dcc.Store(id=SINK),
            _header(),
            html.Main(
                [
                    html.Div(children, id=page, className=f"page {page}", hidden=True)
                    for page, children in pages.items()
                ]
            ),
        ],
        className="shell",
    )


def _header() -> html.Header:
    return html.Header(
        [
            dcc.Link([html.Span(className="mark"), "Sidelight"], href="/", className="brand"),
            html.Nav(
                [
                    dcc.Link("Graph", href="/", id=NAV_GRAPH, className="nav-link"),
                    dcc.Link("Traces", href="/traces", id=NAV_TRACES, className="nav-link"),
                    dcc.Link("Status", href="/status", id=NAV_STATUS, className="nav-link"),
                ],
                **LABEL,
            ),
            html.Dl(id=ids.SUMMARY, className="summary"),
            html.Span(className="gap"),
            html.Span(
                "connecting", id=CLOCK, className="clock", title="When this page last heard from the server"
            ),
            html.Button("Pause", id=controls.LIVE, className="button live-toggle", n_clicks=0, type="button"),
            html.Button("Dark", id=controls.THEME, className="button quiet", n_clicks=0, type="button"),
            html.A("API", href="/api/docs", className="nav-link"),
        ],
        className="header",
    )


def register(app: Dash) -> None:
    """What the browser does by itself: routing, theme, clock."""

    def call(name: str, *signature: Any) -> None:
        app.clientside_callback(ClientsideFunction("sidelightShell", name), *signature)

    pages = (ids.PAGE_GRAPH, ids.PAGE_TRACES, ids.PAGE_TRACE, ids.PAGE_STATUS)
    call(
        "route",
        *[Output(page, "hidden") for page in pages],
        Output(NAV_GRAPH, "className"),
        Output(NAV_TRACES, "className"),
        Output(NAV_STATUS, "className"),
        Input(ids.LOCATION, "pathname"),
    )
    call("ticked", Output(SINK, "data"), Input(ids.TICK, "data"))
    call(
        "show",
        Output(controls.LIVE, "children"),
        Output(controls.LIVE, "className"),
        Output(controls.THEME, "children"),
        Output("custom-time", "hidden"),
        Output(NAV_GRAPH, "href"),
        Output(ids.PANEL, "hidden"),
        Input(ids.VIEW, "data"),
        Input(ids.LOCATION, "pathname"),
    )


def default_state() -> ViewState:
    """What pages are first laid out with; the URL corrects it as soon as the browser tells it."""
    return ViewState()
