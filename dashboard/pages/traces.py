"""Search for traces: a form, a scatter of durations, and the list.

The form's values are in the URL (`assets/trace_pages.js` writes and reads them), so a search can be
shared. What must stay true: names from telemetry are children (text) of the list and never part of the
figure, and a trace links only by an id that is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from dashboard import ids
from dashboard.ask import ask
from dashboard.figures import duration_scatter
from dashboard.figures.style import GRAPH_CONFIG
from dashboard.pages.requests_table import trace_path
from dashboard.view_state import ViewState
from dashboard.wording import UNKNOWN, clock, count, day_and_clock, milliseconds, plural
from store.errors import BadQuery
from store.query_types import TracesQuery

ASKED = "traces-asked"  # the parameters of /api/traces as the form and the URL have them, and "at"
SERVICE, LEAST, ERRORS, WINDOW, SORT = (
    "traces-service",
    "traces-least",
    "traces-errors",
    "traces-window",
    "traces-sort",
)
SEARCH, RESULT, SCATTER, SCATTER_BOX, NAMES = (
    "traces-search",
    "traces-result",
    "traces-scatter",
    "traces-plot",
    "traces-names",
)
SCOPE, ALL = "traces-scope", "traces-all"
FORM = (SERVICE, LEAST, ERRORS, WINDOW)
WINDOWS = ("5m", "15m", "1h", "6h", "24h")
LIMIT = 100
_SPOKEN: Any = {"aria-live": "polite"}  # Dash types no aria attribute
PASSED_ON = ("service", "min_duration_ms", "errors", "window", "from", "to", "node", "edge")


def layout(state: ViewState) -> list[Any]:
    """The form, and room for what is found."""
    sorts = {"newest": "Newest first", "longest": "Longest first"}
    everything = html.Button("Show all", id=ALL, className="button", n_clicks=0, type="button")
    return [
        dcc.Store(id=ASKED),
        html.Datalist(id=NAMES),
        html.Div(
            [
                _field(
                    "Service", dcc.Input(id=SERVICE, type="text", list=NAMES, debounce=True, maxLength=300)
                ),
                _field("At least, ms", dcc.Input(id=LEAST, type="number", min=0, debounce=True)),
                _field("Window", _segments(WINDOW, list(WINDOWS), "15m")),
                dcc.Checklist(
                    [{"label": "only failed", "value": "1"}], [], id=ERRORS, className="traces-errors"
                ),
                html.Button("Search", id=SEARCH, className="button", n_clicks=0, type="button"),
                html.Span(className="gap"),
                _segments(SORT, sorts, "newest"),
            ],
            className="traces-form",
            role="search",
        ),
        html.P(["Only traces that pass what was selected in the graph. ", everything], id=SCOPE, hidden=True),
        html.Div(
            dcc.Graph(id=SCATTER, config=GRAPH_CONFIG, className="scatter"), id=SCATTER_BOX, hidden=True
        ),
        html.Div(id=RESULT, **_SPOKEN),
    ]


def _segments(ident: str, options: Any, value: str) -> Any:
    return dcc.RadioItems(options, value, id=ident, className="segments", inline=True)


def _field(label: str, control: Any) -> html.Label:
    return html.Label([html.Span(label, className="control-label"), control], className="control")


def register(app: Dash, queries: Any) -> None:
    """The page's callbacks."""

    def call(name: str, *signature: Any, **more: Any) -> None:
        app.clientside_callback(ClientsideFunction("sidelightTraces", name), *signature, **more)

    call(
        "asked",
        Output(ASKED, "data"),
        *[Output(name, "value") for name in FORM],
        Output(SCOPE, "hidden"),
        Input(ids.LOCATION, "href"),
        Input(SEARCH, "n_clicks"),
        Input(ALL, "n_clicks"),
        *[Input(name, "value") for name in FORM],
    )
    call(
        "open",
        Output(ids.LOCATION, "href", allow_duplicate=True),
        Input(SCATTER, "clickData"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output(RESULT, "children"),
        Output(SCATTER, "figure"),
        Output(SCATTER_BOX, "hidden"),
        Output(NAMES, "children"),
        Input(ASKED, "data"),
        Input(SORT, "value"),
        State(NAMES, "children"),
        prevent_initial_call=True,
    )
    async def find(asked: Any, sort: str, names: Any) -> list[Any]:
        params = question(asked)
        try:
            found = await ask(queries.traces, TracesQuery.from_params(params))
        except BadQuery as error:
            words = html.P(
                f"{error.message} {error.hint or ''}".strip(), className="panel-trouble", role="status"
            )
            return [words, duration_scatter([]), True, names]
        traces = ordered(found.get("traces") or [], sort)
        listed = trace_list(traces) if traces else nothing_found(params)
        known = {option["props"]["value"] for option in names or [] if isinstance(option, dict)}
        known |= {str(service["name"])[:300] for trace in traces for service in trace.get("services") or []}
        options = [html.Option(value=name) for name in sorted(known)[:500]]
        return [listed, duration_scatter(traces, keep="traces"), not traces, options]


def question(asked: dict[str, Any] | None) -> dict[str, str]:
    """The parameters for `TracesQuery` from what the browser holds; only those we know, as text."""
    params = {
        key: str(value)
        for key, value in (asked or {}).items()
        if key in PASSED_ON and value not in (None, "")
    }
    if "from" in params:
        params.pop("window", None)  # a fixed time wins; both together would be refused
    else:
        params.setdefault("window", "15m")
    return params | {"limit": str(LIMIT)}


def ordered(traces: Sequence[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """Newest first as the store gives them, or longest first."""
    if sort != "longest":
        return list(traces)
    return sorted(traces, key=lambda trace: -(trace.get("duration_ms") or 0))


def trace_list(traces: Sequence[dict[str, Any]]) -> list[Any]:
    """The traces as a table; the bar is the duration against the longest one shown."""
    longest = max((trace.get("duration_ms") or 0 for trace in traces), default=0)
    heads = ("Trace", "Duration", "Spans", "Failed", "Services", "Started, UTC")
    more = (
        f"The newest {LIMIT}; narrow the search to see others."
        if len(traces) >= LIMIT
        else plural(len(traces), "trace")
    )
    head = html.Thead(html.Tr([html.Th(text, scope="col") for text in heads]))
    body = html.Tbody([_line(trace, longest) for trace in traces])
    return [html.P(more, className="muted"), html.Table([head, body], className="traces-list")]


def _line(trace: dict[str, Any], longest: float) -> html.Tr:
    service = trace.get("root_service") or "unknown"
    name: Any = [
        html.Span(str(service)[:200], className="root-service"),
        " ",
        str(trace.get("root_name") or UNKNOWN)[:300],
    ]
    path = trace_path(trace.get("trace_id"))
    errors = trace.get("errors") or 0
    share = (trace.get("duration_ms") or 0) / longest if longest else 0
    services = trace.get("services") or []
    shown = ", ".join(str(each["name"])[:60] for each in services[:6])
    rest = f" and {len(services) - 6} more" if len(services) > 6 else ""
    return html.Tr(
        [
            html.Td(dcc.Link(name, href=path) if path else name, className="what", dir="auto"),
            html.Td(
                [
                    html.Span(
                        html.Span(
                            className="bar" + (" is-bad" if errors else ""),
                            style={"width": f"{share * 100:.1f}%"},
                        ),
                        className="bar-track",
                    ),
                    html.Span(milliseconds(trace.get("duration_ms")), className="took"),
                ],
                className="duration",
            ),
            html.Td(count(trace.get("spans")), className="number"),
            html.Td(
                f"! {count(errors)}" if errors else "0", className="number" + (" is-bad" if errors else "")
            ),
            html.Td(shown + rest, className="services", title=plural(len(services), "service")),
            html.Td(clock(trace.get("time")), className="number", title=day_and_clock(trace.get("time"))),
        ]
    )


def nothing_found(params: dict[str, str]) -> list[Any]:
    """What to try when the search is empty: widen it, or turn tracing on."""
    narrowed = [name for name in ("service", "min_duration_ms", "errors", "node", "edge") if name in params]
    if narrowed:
        first = "No trace matches all of this. Ask for less, or for a longer window."
    else:
        first = "No span arrived in this window."
    return [
        html.Div(
            [
                html.H2("No traces here"),
                html.P(first),
                html.P(
                    "The graph counts every request from access logs; traces exist only for requests that "
                    "were sampled, and the first proxy a request meets decides. Istio's default is 1 of 100."
                ),
                html.P(
                    [
                        html.Code("randomSamplingPercentage: 100"),
                        " in Istio's Telemetry resource samples every request; the README shows all of it.",
                    ]
                ),
            ],
            className="card traces-none",
        )
    ]
