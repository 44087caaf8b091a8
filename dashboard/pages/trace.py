"""One trace: its summary and the waterfall (`assets/waterfall.js` draws it).

Spans of a running mesh come late and out of order, so a trace that ended less than a minute ago is asked for
again while it is on screen; the drawing keeps what is open, selected and scrolled. What must stay true:
the id in the path is only used when it looks like one.
"""

from __future__ import annotations

import re
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from dashboard import ids
from dashboard.ask import ask
from dashboard.view_state import ViewState
from dashboard.waterfall import error_count, service_of, waterfall_payload
from dashboard.wording import count, day_and_clock, grpc_name, milliseconds
from store.errors import BadQuery

WANTED = "trace-wanted"  # {"id", "at"}: which trace to ask for; written by assets/trace_pages.js
DATA = "trace-data"  # what waterfall_payload makes
HELD = "trace-held"  # {"id", "spans", "ends"} of what DATA holds
HEAD, TROUBLE, DRAWING, AGAIN = "trace-head", "trace-trouble", "trace-waterfall", "trace-again"

_ID = re.compile(r"[0-9a-f]{1,32}")
NO_TRACE = (
    "No span of this trace is stored: spans come seconds after their request, and old ones are dropped."
)


def layout(state: ViewState) -> list[Any]:
    """The page's skeleton."""
    again = html.Button("Reload", id=AGAIN, className="button", n_clicks=0, type="button")
    return [
        *[dcc.Store(id=name) for name in (WANTED, DATA, HELD)],
        html.Nav([dcc.Link("← Traces", href="/traces", id="trace-back"), again], className="trace-nav"),
        html.Div(id=HEAD),
        html.P(id=TROUBLE, className="panel-trouble", role="status", hidden=True),
        html.Div(id=DRAWING),
    ]


def register(app: Dash, queries: Any) -> None:
    """The page's callbacks."""

    def call(name: str, *signature: Any) -> None:
        app.clientside_callback(ClientsideFunction("sidelightTrace", name), *signature)

    call(
        "wanted",
        Output(WANTED, "data"),
        Input(ids.LOCATION, "pathname"),
        Input(ids.TICK, "data"),
        Input(AGAIN, "n_clicks"),
        State(HELD, "data"),
    )
    call("draw", Output(DRAWING, "title"), Input(DATA, "data"), Input(ids.LOCATION, "pathname"))

    @app.callback(
        Output(DATA, "data"),
        Output(HELD, "data"),
        Output(HEAD, "children"),
        Output(TROUBLE, "children"),
        Output(TROUBLE, "hidden"),
        Input(WANTED, "data"),
        State(HELD, "data"),
        prevent_initial_call=True,
    )
    async def load(wanted: Any, held: Any) -> list[Any]:
        trace_id = str((wanted or {}).get("id") or "")
        if not _ID.fullmatch(trace_id):
            return [None, None, [], "This is no trace id: it has 32 hexadecimal digits.", False]
        try:
            trace = await ask(queries.trace, trace_id)
        except BadQuery as error:
            return [None, None, [], f"{error.message} {error.hint or ''}".strip(), False]
        return shown(trace, held)


def shown(trace: dict[str, Any] | None, held: dict[str, Any] | None) -> list[Any]:
    """Data, what is held, header and trouble for a trace; nothing where the browser has it already."""
    if not trace or not trace.get("spans"):
        return [None, None, [], NO_TRACE, False]
    now = {
        "id": trace["trace_id"],
        "spans": len(trace["spans"]),
        "time": trace.get("time"),
        "duration_ms": trace.get("duration_ms"),
    }
    if held == now:
        raise PreventUpdate
    payload = waterfall_payload(trace)
    codes = {span["grpc_status"] for span in trace["spans"] if span.get("grpc_status") is not None}
    payload["grpc_names"] = {str(code): grpc_name(code) for code in codes}
    words = "Only a part is shown: the trace has more spans than are drawn." if payload["truncated"] else ""
    return [payload, now, header(trace), words, not words]


def header(trace: dict[str, Any]) -> list[Any]:
    """Root, duration, spans, services, errors and start of a trace."""
    spans = trace["spans"]
    root = spans[0]
    errors = error_count(trace)
    services = {service_of(span) for span in spans}
    proxies = sum(bool(span.get("is_proxy")) for span in spans)
    facts = [
        ("duration", milliseconds(trace.get("duration_ms")), ""),
        (
            "spans",
            count(len(spans)),
            f"{count(proxies)} from proxies, {count(len(spans) - proxies)} from applications",
        ),
        ("services", count(len(services)), ""),
        ("failed spans", count(errors), "is-bad" if errors else ""),
        ("started", day_and_clock(trace.get("time")), ""),
        ("trace id", str(trace.get("trace_id")), ""),
    ]
    return [
        html.H2(
            [service_of(root), " ", html.Span(str(root.get("name"))[:300], className="root-name")], dir="auto"
        ),
        html.Dl(
            [
                html.Div(
                    [html.Dt(name), html.Dd(value, className=note if note == "is-bad" else "")],
                    title=note if note and note != "is-bad" else None,
                    className="figure",
                )
                for name, value, note in facts
            ],
            className="trace-facts",
        ),
    ]
