"""What the API's endpoints take, as OpenAPI, and a page that shows it.

The page is written here, without scripts and without anything from another host: the server must
work on a machine that sees no internet, under a policy that runs no foreign script.
"""

from __future__ import annotations

import html
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

Json = dict[str, Any]


def _text(name: str, description: str, *choices: str) -> Json:
    schema: Json = {"type": "string"} | ({"enum": list(choices)} if choices else {})
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


TIME = [
    _text("window", "the last `30s`, `5m`, `24h`; instead of from and to"),
    _text("from", "start, RFC 3339 or epoch seconds, included"),
    _text("to", "end, excluded"),
]
ELEMENT = [_text("edge", "an edge's id in /api/graph"), _text("node", "a node's id in /api/graph")]
BACKGROUND = _text("background", "`1`: count probes, scrapes and telemetry exports too")

PARAMETERS: dict[str, list[Json]] = {
    "graph": [
        *TIME,
        _text("type", "what a node is", "version", "workload", "app", "service", "instance"),
        _text("namespace", "only what touches this namespace; repeatable"),
        _text("success", "from which status on a request failed", "5xx", "4xx"),
        _text("exact", "`1`: count and rank rows even in long windows"),
        BACKGROUND,
    ],
    "requests": [
        *ELEMENT,
        *TIME,
        _text("view", "as callers or as called proxies saw it", "client", "server"),
        _text("outcome", "only these", "ok", "error", "client_gone", "unknown"),
        _text("trace_id", "only of this trace"),
        _text("limit", "rows, 100 unless told"),
        _text("before", "the `next` of the page before"),
        BACKGROUND,
    ],
    "timeseries": [
        *ELEMENT,
        *TIME,
        _text("step", "seconds; about a sixtieth of the window unless told"),
        BACKGROUND,
    ],
    "traces": [
        *ELEMENT,
        *TIME,
        _text("service", "traces that touch this service"),
        _text("errors", "`1`: only with an error"),
        _text("min_duration_ms", "only as slow as this"),
        _text("limit", "rows, 50 unless told"),
        _text("before", "the `next` of the page before"),
        BACKGROUND,
    ],
}

STYLE = """
:root { color-scheme: light dark; font: 15px/1.55 system-ui, sans-serif }
body { max-width: 54rem; margin: 3rem auto; padding: 0 1.5rem }
h1 { font-size: 1.5rem; font-weight: 600 } h2 { font-size: 1rem; margin: 2.4rem 0 .3rem }
code { font: .9em ui-monospace, monospace } .m { color: #2b8a83; font-weight: 600 }
table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid #8884; padding: .3rem 1rem .3rem 0; vertical-align: top }
td:first-child { width: 11rem }
"""


def page(schema: Json) -> str:
    """The documentation page of an OpenAPI schema."""
    parts: list[str] = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            head = f'<span class="m">{method.upper()}</span> <code>{html.escape(path)}</code>'
            rows = "".join(_row(p) for p in operation.get("parameters", []))
            summary = html.escape(operation.get("summary", ""))
            parts.append(f"<h2>{head}</h2>{summary}" + (f"<table>{rows}</table>" if rows else ""))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sidelight API</title>'
        f"<style>{STYLE}</style><h1>Sidelight API</h1><p>Times are UTC. A number that cannot be known is "
        "<code>null</code>. Errors are <code>"
        '{"error": {"code", "message", "hint"}}</code>. As OpenAPI: '
        '<a href="/api/openapi.json">/api/openapi.json</a></p>' + "".join(parts)
    )


def _row(parameter: Json) -> str:
    choices = " · ".join(parameter["schema"].get("enum", []))
    text = html.escape(parameter.get("description", "")) + (f"<br><code>{choices}</code>" if choices else "")
    return f"<tr><td><code>{html.escape(parameter['name'])}</code></td><td>{text}</td></tr>"


def add_routes(router: APIRouter) -> None:
    """``GET /docs`` on ``router``."""

    @router.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(page(request.app.openapi()))
