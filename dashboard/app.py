"""The one server of API and pages: Dash on FastAPI, behind the security doors.

Order matters and is all here: own routes first, then Dash, then pages and callbacks, and last the
routes that end what Dash's catch-all would swallow. What must stay true: no synchronous callback (on
this backend one would run on the event loop and stall everything), and no route that is declared
after the server has started.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from dash import Dash
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard import api, errors, ids, probes, theme
from dashboard.live import Live
from dashboard.pages import graph, panel, shell, trace, traces
from dashboard.pages import status as status_page
from dashboard.security import Security
from dashboard.settings import DashboardSettings

PAGE = re.compile(r"/traces|/traces/[^/]+|/status")
INDEX = """<!DOCTYPE html>
<html lang="en">
<head>{%metas%}<title>{%title%}</title>{%favicon%}<link rel="stylesheet" href="/theme.css">{%css%}</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""


def build_app(
    queries: Any, settings: DashboardSettings, status: Callable[[], dict[str, Any]] | None = None
) -> FastAPI:
    """The ASGI application. ``queries`` is `store.queries.Queries`; ``status`` is its unless given."""
    status = status or queries.status
    server = FastAPI(
        title="Sidelight", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", version="1"
    )
    errors.install(server)
    probe_routes = probes.build_router(settings, status)
    server.include_router(probe_routes)

    @server.get("/theme.css", include_in_schema=False)
    async def theme_css() -> Response:
        return Response(theme.stylesheet(), media_type="text/css")

    asgi: Any = server  # Dash's types know only its own servers
    dash_app = Dash(
        "dashboard",
        server=asgi,
        websocket_callbacks=True,
        suppress_callback_exceptions=True,
        title="Sidelight",
        update_title="",
        index_string=INDEX,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        enable_mcp=False,
    )
    _mount_pages(dash_app, queries, settings)
    server.include_router(api.build_router(queries, status))
    _end_routes(server, probe_routes.routes)
    hashes: list[str] = []

    def script_hashes() -> list[str]:
        if not hashes:
            dash_app._generate_scripts_html()  # renders nothing; some hashes exist only afterwards
            hashes.extend(dash_app.csp_hashes())
        return hashes

    server.add_middleware(Pages)
    server.add_middleware(Security, settings=settings, script_hashes=script_hashes)
    server.state.dash = dash_app
    return server


class Pages:
    """Every page is the one page: its path is told to the browser's code, to Dash it is ``/``.

    Outside of Dash's own middleware, which prepares only ``/`` for rendering.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and PAGE.fullmatch(scope["path"]):
            scope = {**scope, "path": "/", "raw_path": b"/"}
        await self.app(scope, receive, send)


def _mount_pages(dash_app: Dash, queries: Any, settings: DashboardSettings) -> None:
    live = Live(queries)
    state = shell.default_state()
    dash_app.layout = shell.layout(
        {
            ids.PAGE_GRAPH: graph.layout(state, settings, panel.layout(state)),
            ids.PAGE_TRACES: traces.layout(state),
            ids.PAGE_TRACE: trace.layout(state),
            ids.PAGE_STATUS: status_page.layout(state),
        }
    )
    shell.register(dash_app)
    graph.register(dash_app, live)
    for page in (panel, traces, trace):
        page.register(dash_app, queries)
    status_page.register(dash_app, queries, settings)


def _end_routes(server: FastAPI, included: Iterable[Any]) -> None:
    """HEAD for the page, and 404 for what nothing else answers, before Dash's catch-all says 200 to it."""

    @server.head("/", include_in_schema=False)
    async def head() -> Response:
        return Response(media_type="text/html")

    ours = [*server.routes, *included]

    @server.api_route("/{rest:path}", methods=api.METHODS, include_in_schema=False, name=api.END)
    async def nothing(request: Request) -> Response:
        return api.nothing_here(ours, request)
