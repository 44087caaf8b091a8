"""The status page: what the store says of itself, as a plain table. Minimal on purpose."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, html
from dash.exceptions import PreventUpdate

from dashboard import ids
from dashboard.ask import ask
from dashboard.view_state import ViewState

ROWS = "status-rows"
MAX_ROWS = 200


def layout(_state: ViewState) -> list[Any]:
    """A heading and an empty table."""
    return [
        html.H2("Status"),
        html.P(
            [
                "As JSON: ",
                html.A("/api/doctor", href="/api/doctor"),
                " · ",
                html.A("/metrics", href="/metrics"),
            ]
        ),
        html.Table(html.Tbody(id=ROWS), className="plain-table"),
    ]


def rows(status: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested JSON as (dotted name, text) pairs."""
    if isinstance(status, dict):
        return [
            pair
            for key, value in status.items()
            for pair in rows(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(status, list):
        return [pair for place, value in enumerate(status) for pair in rows(value, f"{prefix}[{place}]")]
    return [(prefix, "–" if status is None else f"{status:,}" if isinstance(status, int) else str(status))]


def register(app: Dash, queries: Any) -> None:
    """Fill the table when the page is opened, and at each tick while it is."""

    @app.callback(
        Output(ROWS, "children"),
        Input(ids.LOCATION, "pathname"),
        Input(ids.TICK, "data"),
        prevent_initial_call=True,
    )
    async def fill(path: str, _tick: Any) -> list[Any]:
        if path != "/status":
            raise PreventUpdate
        pairs = rows(await ask(queries.status))[:MAX_ROWS]
        return [html.Tr([html.Th(name, scope="row"), html.Td(text)]) for name, text in pairs]
