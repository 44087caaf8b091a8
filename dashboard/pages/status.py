"""The status page: what this server receives, keeps and answers, and what is wrong with it."""

from __future__ import annotations

import time
from typing import Any

from dash import Dash, Input, Output, html
from dash.exceptions import PreventUpdate

from dashboard import health, ids, metrics, wording
from dashboard.ask import ask
from dashboard.settings import DashboardSettings
from dashboard.view_state import ViewState

BODY = "status-body"
_SAMPLE_S = 2.0

_SOURCES = {
    "als": "Envoy access log service",
    "otlp_logs": "OTLP logs",
    "otlp_traces": "OTLP traces",
    "otlp_metrics": "OTLP metrics",
    "follow": "Followed files",
}
_TABLES = {
    "observations": "Requests as proxies saw them",
    "spans": "Spans",
    "logs": "Log records",
    "metric_points": "Metric points",
    "rejects": "What could not be read",
}


def layout(_state: ViewState) -> list[Any]:
    """A heading and, once asked, everything else."""
    return [
        html.H2("Status"),
        html.Div("Asking the server ...", id=BODY, className="status"),
        html.P(
            [
                "The same as text: ",
                html.A("/metrics", href="/metrics"),
                ", as JSON: ",
                html.A("/api/health", href="/api/health"),
            ]
        ),
    ]


def draw(found: health.Health) -> list[Any]:
    """The page's sections."""
    return [
        _troubles(found.troubles),
        html.H3("Received since the collectors started"),
        _table(
            (
                "From",
                "Exports",
                "Records kept",
                "Now",
                "Records refused",
                "Exports refused",
                "To the journal",
            ),
            [
                (
                    _SOURCES.get(row["source"], row["source"]),
                    wording.count(row["exports"]),
                    wording.count(row["records"]),
                    wording.rate(row["rate"]),
                    wording.count(row["rejected"]),
                    wording.count(row["refused"]),
                    wording.size(row["bytes"]),
                )
                for row in found.intake
            ],
            "Nothing has arrived yet. Point a proxy's telemetry here: the graph page says how.",
        ),
        html.H3("Kept"),
        _table(
            ("Table", "In memory", "Sealed"),
            [
                (
                    _TABLES.get(row["table"], row["table"]),
                    wording.count(row["hot"]),
                    wording.count(row["sealed"]),
                )
                for row in found.tables
            ],
        ),
        html.H3("The store"),
        _table(("", ""), [(what, _with_unit(value, unit)) for what, unit, value in found.store]),
        html.H3("Answers since the start"),
        _table(
            ("Question", "Times", "On average", "95 % within"),
            [
                (
                    row["query"],
                    wording.count(row["count"]),
                    wording.milliseconds(row["avg_ms"]),
                    wording.milliseconds(_in_ms(row["p95_under_s"])),
                )
                for row in found.queries
            ],
            "Nothing was asked yet.",
        ),
    ]


def register(app: Dash, queries: Any, settings: DashboardSettings) -> None:
    """Draw the page when it is opened, and at each tick while it is."""
    samples: list[health.Sample] = []  # the last two at least _SAMPLE_S apart, for everybody's rates

    def look() -> health.Health:
        status = queries.status()
        now = health.sample(metrics.everything(settings.data, status), time.time())
        if not samples or now.time - samples[-1].time >= _SAMPLE_S:
            samples.append(now)
            del samples[:-2]
        return health.health(
            now, next((one for one in samples if now.time - one.time >= _SAMPLE_S), None), status
        )

    @app.callback(
        Output(BODY, "children"),
        Input(ids.LOCATION, "pathname"),
        Input(ids.TICK, "data"),
        prevent_initial_call=True,
    )
    async def fill(path: str, _tick: Any) -> list[Any]:
        if path != "/status":
            raise PreventUpdate
        return draw(await ask(look))


def _troubles(troubles: list[str]) -> Any:
    if not troubles:
        return html.P("Everything that arrives is taken and stored.", className="status-good")
    return html.Ul([html.Li(text) for text in troubles], className="status-bad")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], empty: str = "") -> Any:
    if not rows and empty:
        return html.P(empty)
    body = [html.Tr([html.Th(row[0], scope="row"), *map(html.Td, row[1:])]) for row in rows]
    titles = [html.Thead(html.Tr([html.Th(title, scope="col") for title in head]))] if any(head) else []
    return html.Table([*titles, html.Tbody(body)], className="plain-table status-table")


def _with_unit(value: float | None, unit: str) -> str:
    if unit == "bytes":
        return wording.size(value)
    return wording.milliseconds(_in_ms(value)) if unit == "s" else wording.count(value)


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
