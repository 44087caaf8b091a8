"""The graph page: one persistent callback that ticks, one that answers what a view needs.

The URL is the truth: a control changes the view, the view is written to the URL, and a URL opened
anew sets view and controls. All callbacks are async; the persistent one has no Input, or a reconnect
would not start it again (reference/graph-renderer.md §3). What must stay true: text from telemetry
reaches the page as children or canvas text, never as HTML or Markdown.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update, set_props
from dash.exceptions import PreventUpdate

from dashboard import ids, wording
from dashboard.graph.decorate import short_rate
from dashboard.graph.summary import summarise
from dashboard.live import Live, Snapshot
from dashboard.pages import controls, empty
from dashboard.settings import DashboardSettings
from dashboard.view_state import ViewState
from store.errors import BadQuery

DRAWING, DRAWN, PICKED, REVIVE, NOTICE, SINK = "drawing", "drawn", "picked", "revive", "notice", "graph-sink"
# The URL's parameters as this page writes them, and as somebody came with them (a link, the back button): told
# apart in the browser, or the echo of what was written would undo what has been typed since.
WRITTEN, ARRIVED = "written", "arrived"
FIT, ZOOM_IN, ZOOM_OUT, REARRANGE = "fit", "zoom-in", "zoom-out", "rearrange"


def layout(state: ViewState, settings: DashboardSettings, panel: Any) -> list[Any]:
    """Toolbar, stage and the slot of the side panel."""
    return [
        *[dcc.Store(id=name) for name in (DRAWING, DRAWN, PICKED, REVIVE, SINK, WRITTEN, ARRIVED)],
        controls.toolbar(state),
        html.Div(
            [
                html.Div(
                    [
                        html.Div(id="cy"),
                        html.Div(id="graph-tip", className="tip", hidden=True, role="tooltip"),
                        html.Div(id="graph-says", className="for-readers", **_aria("live", "polite")),
                        html.Div(id=NOTICE, className="notice", role="status", hidden=True),
                        _legend(state),
                        _tools(),
                        empty.layout(settings),
                    ],
                    id="stage",
                ),
                html.Aside(panel, id=ids.PANEL, hidden=True, **_aria("label", "Details")),
            ],
            className="work",
        ),
    ]


def _aria(name: str, value: str) -> Any:
    return {f"aria-{name}": value}


def _tools() -> html.Div:
    buttons = (
        (ZOOM_IN, "+", "Zoom in (+)"),
        (ZOOM_OUT, "−", "Zoom out (−)"),
        (FIT, "Fit", "Show everything (f)"),
        (REARRANGE, "Arrange", "Lay everything out afresh"),
    )
    return html.Div(
        [
            html.Button(
                text,
                id=ident,
                title=title,
                className="tool",
                n_clicks=0,
                type="button",
                **_aria("label", title),
            )
            for ident, text, title in buttons
        ],
        className="tools",
        role="group",
    )


def _legend(state: ViewState) -> html.Details:
    health = (
        ("healthy", "healthy"),
        ("degraded", "some errors"),
        ("failing", "10 % errors or more"),
        ("idle", "idle"),
    )
    shapes = (
        ("workload", "workload"),
        ("gateway", "gateway"),
        ("service", "service: nobody answered"),
        ("external", "outside the mesh"),
        ("database", "database"),
        ("unknown", "not known"),
    )
    return html.Details(
        [
            html.Summary("Legend"),
            html.Div(
                [
                    html.Ul([html.Li(text, className=f"key health-{name}") for name, text in health]),
                    html.Ul([html.Li(text, className=f"key shape-{name}") for name, text in shapes]),
                    html.P(
                        "A line is as wide as the logarithm of its rate. 80 % on a line: the share of a "
                        "caller's answered requests that this version took.",
                        className="muted",
                    ),
                    controls.switches(state),
                ],
                className="legend-body",
            ),
        ],
        className="legend",
    )


def summary_strip(snapshot: Snapshot) -> list[Any]:
    """The numbers in the header."""
    found = summarise(snapshot.graph)
    slow = found.slowest if found.p95_ms is not None else "no timed request"
    figures = (
        (
            "requests",
            short_rate(found.rate),
            "All requests between the workloads shown, as their callers saw them",
        ),
        ("success", wording.percent(found.success), "Of those that were answered or failed"),
        ("slowest p95", wording.milliseconds(found.p95_ms), slow),
        ("workloads", wording.count(found.workloads), "Workloads and gateways shown"),
    )
    items = [
        html.Div([html.Dt(name), html.Dd(value)], className="figure", title=title)
        for name, value, title in figures
    ]
    if not snapshot.graph.get("exact", True):
        note = "Counts are exact; percentiles come from minute rollups, within 1 %."
        items.append(html.Div([html.Dt("percentiles"), html.Dd("±1 %")], className="figure", title=note))
    return items


def beside(graph: dict[str, Any], selection: dict[str, str] | None) -> dict[str, Any]:
    """The selection's surroundings, as `ids.GRAPH` describes them."""
    ident = (selection or {}).get("id")
    edges = [e for e in graph["edges"] if ident in (e["id"], e["source"], e["target"])] if ident else []
    near = {ident, *(e["source"] for e in edges), *(e["target"] for e in edges)}
    return {
        "from": graph["from"],
        "to": graph["to"],
        "exact": graph.get("exact", True),
        "nodes": {n["id"]: n for n in graph["nodes"] if n["id"] in near},
        "edges": {e["id"]: e for e in edges},
    }


def register(app: Dash, live: Live) -> None:
    """All callbacks of the page."""
    _register_view(app)
    _register_live(app, live)
    _register_browser(app)


def _register_view(app: Dash) -> None:
    @app.callback(
        Output(WRITTEN, "data"),
        Output(ids.VIEW, "data"),
        Output(ids.SELECTION, "data"),
        Output(controls.WINDOW, "options"),
        # Together with the values: a dropdown forgets a value that is not among its options.
        Output(controls.NAMESPACES, "options", allow_duplicate=True),
        *[Output(*each) for each in controls.PROPERTIES],
        Input(ARRIVED, "data"),
        *[Input(*each) for each in controls.PROPERTIES],
        Input(controls.LIVE, "n_clicks"),
        Input(controls.THEME, "n_clicks"),
        Input(PICKED, "data"),
        Input(ids.PANEL_CLOSE, "n_clicks"),
        State(ids.LOCATION, "pathname"),
        State(ids.VIEW, "data"),
        State(controls.THEME, "children"),
        State(controls.NAMESPACES, "options"),
        prevent_initial_call="initial_duplicate",
    )
    async def sync(arrived: Any, *rest: Any) -> list[Any]:
        *values, _live, _theme, picked, _close, path, held, theme_name, namespaces = rest
        same = [no_update] * len(controls.VALUES)
        touched = {key.split(".")[0] for key in ctx.triggered_prop_ids}
        if held is None or ARRIVED in touched:
            if arrived is None or (held is not None and path != "/"):
                raise PreventUpdate  # not told yet; another page's parameters
            view = ViewState.from_search(str(arrived.get("search") or "") if path == "/" else "")
            if held == view.to_json():
                raise PreventUpdate
            options = controls.window_options(view.window)
            known = sorted({*(namespaces or ()), *view.namespaces})
            return [no_update, view.to_json(), view.selection, options, known, *controls.shown(view)]
        before = ViewState.from_json(held)
        by_id = dict(zip(controls.VALUES, values, strict=True))
        view = controls.reread(before, by_id)
        for name in touched:
            if name == controls.THEME:
                view = replace(view, theme=str(theme_name).lower())
            elif name == PICKED:
                view = view.select(picked)
            elif name == ids.PANEL_CLOSE:
                view = view.select(None)
            else:
                view = controls.reconcile(view, name, by_id)
        if view == before or path != "/":
            raise PreventUpdate
        if {view.start, view.end} != {before.start, before.end}:
            same = controls.shown(view)
        selection = view.selection if view.selection != before.selection else no_update
        return [view.to_search(), view.to_json(), selection, no_update, no_update, *same]


def _register_live(app: Dash, live: Live) -> None:
    @app.callback(persistent=True)
    async def tick() -> None:
        socket = ctx.websocket
        seq = -1
        while socket is not None and not socket.is_shutdown:
            seq = await live.next_tick(seq)
            set_props(ids.TICK, {"data": {"seq": seq, "at": time.time()}})

    @app.callback(
        Output(DRAWING, "data"),
        Output(ids.GRAPH, "data"),
        Output(ids.SUMMARY, "children"),
        Output(controls.NAMESPACES, "options"),
        Output(empty.FIRST, "hidden"),
        Output(empty.QUIET, "hidden"),
        Output(NOTICE, "children"),
        Output(NOTICE, "hidden"),
        Input(ids.TICK, "data"),
        Input(ids.VIEW, "data"),
        Input(ids.SELECTION, "data"),
        State(DRAWN, "data"),
        State(controls.NAMESPACES, "options"),
        prevent_initial_call=True,
    )
    async def draw(_tick: Any, held: Any, selection: Any, drawn: Any, namespaces: Any) -> list[Any]:
        if held is None:
            raise PreventUpdate
        view = ViewState.from_json(held)
        if not view.live and set(ctx.triggered_prop_ids) == {f"{ids.TICK}.data"}:
            raise PreventUpdate
        try:
            snapshot = await live.snapshot(view)
            patch = await live.patch(view, drawn)
        except BadQuery as error:
            return [*[no_update] * 6, f"{error.message} {error.hint or ''}".strip(), False]
        known = sorted(live.namespaces | set(view.namespaces))
        nothing = not snapshot.graph["nodes"]
        return [
            patch or no_update,
            beside(snapshot.graph, selection),
            summary_strip(snapshot),
            known if known != namespaces else no_update,
            not (nothing and live.never),
            not (nothing and not live.never),
            "",
            True,
        ]

    @app.callback(Output(SINK, "data"), Input(REARRANGE, "n_clicks"), prevent_initial_call=True)
    async def rearrange(clicks: int) -> int:
        live.rearrange()
        return clicks

    @app.callback(Input(REVIVE, "data"), prevent_initial_call=True)
    async def revive(_at: Any) -> None:
        """Running any websocket callback brings socket and ticks back."""


def _register_browser(app: Dash) -> None:
    def call(name: str, *signature: Any, **kwargs: Any) -> None:
        app.clientside_callback(ClientsideFunction("sidelightGraph", name), *signature, **kwargs)

    call("write", Input(WRITTEN, "data"), prevent_initial_call=True)
    call("arrive", Output(ARRIVED, "data"), Input(ids.LOCATION, "search"))
    call("draw", Output(DRAWN, "data"), Input(DRAWING, "data"), prevent_initial_call=True)
    call("show", Output(SINK, "storage_type"), Input(ids.VIEW, "data"), Input(ids.SELECTION, "data"))
    call("seek", Output(controls.FIND_SLOT, "title"), Input(controls.FIND, "data"))
    for name, button in (("fit", FIT), ("zoomIn", ZOOM_IN), ("zoomOut", ZOOM_OUT)):
        call(name, Output(button, "title"), Input(button, "n_clicks"), prevent_initial_call=True)
    call("rearranged", Output(REARRANGE, "title"), Input(SINK, "data"), prevent_initial_call=True)
