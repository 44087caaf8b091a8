"""The one server of API and pages: Dash on FastAPI, behind the security doors.

Order matters and is all here: own routes first, then Dash, then pages and callbacks, and last the
routes that end what Dash's catch-all would swallow. What must stay true: no synchronous callback (on
this backend one would run on the event loop and stall everything), and no route that is declared
after the server has started.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import Dash
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response

from dashboard import api, errors, ids, probes, theme
from dashboard.errors import error_answer
from dashboard.live import Live
from dashboard.pages import graph, panel, shell, status as status_page, trace, traces
from dashboard.security import Security
from dashboard.settings import DashboardSettings

PAGE_PATHS = ("/traces", "/traces/{trace_id}", "/status")
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
    server.include_router(probes.build_router(settings, status))

    @server.get("/theme.css", include_in_schema=False)
    async def theme_css() -> Response:
        return Response(theme.stylesheet(), media_type="text/css")

    dash_app = Dash(
        "dashboard",
        server=server,
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
    _end_routes(server, dash_app)
    hashes: list[str] = []

    def script_hashes() -> list[str]:
        if not hashes:
            dash_app._generate_scripts_html()  # renders nothing; some hashes exist only afterwards
            hashes.extend(dash_app.csp_hashes())
        return hashes

    server.add_middleware(Security, settings=settings, script_hashes=script_hashes)
    server.state.dash = dash_app
    return server


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
    for page in (panel, traces, trace, status_page):
        page.register(dash_app, queries)


def _end_routes(server: FastAPI, dash_app: Dash) -> None:
    """Our pages by name, and 404 for all else, before Dash's catch-all would answer 200 to anything."""

    async def page() -> HTMLResponse:
        return HTMLResponse(dash_app.index())

    for path in PAGE_PATHS:
        server.add_api_route(path, page, methods=["GET", "HEAD"], include_in_schema=False)

    @server.head("/", include_in_schema=False)
    async def head() -> Response:
        return Response(media_type="text/html")

    @server.api_route("/{rest:path}", methods=api.METHODS, include_in_schema=False)
    async def nothing(rest: str) -> Response:
        return error_answer(404, "not_found", f"There is no page /{rest[:200]}.", "The graph is at /.")
