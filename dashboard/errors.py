"""One shape for every error the dashboard's server answers: ``{"error": {"code", "message", "hint"}}``.

The table from exception to HTTP status is here and nowhere else. What must stay true: no answer of
the API is HTML or has another shape, 404, 405 and bugs included; a bug's text stays in the log.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from store.errors import BadQuery

log = logging.getLogger("sidelight.dashboard")

HINTS = {
    401: "Send `Authorization: Bearer TOKEN` with a token of the server's --token-file.",
    404: "The endpoints are listed at /api/docs.",
    405: "The endpoints and their methods are listed at /api/docs.",
}
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    422: "invalid",
    503: "unavailable",
}
# Codes of `BadQuery` that are not the caller's 400.
BAD_QUERY_STATUS = {
    "not_found": 404,
    "trace_not_found": 404,
    "unsupported_format": 406,
    "not_acceptable": 406,
    "local_only": 403,
    "no_job": 404,
    "job_running": 409,
    "timeout": 408,
    "too_large": 413,
    "busy": 503,
    "unavailable": 503,
}


def error_json(code: str, message: str, hint: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"code": code, "message": message, "hint": hint}}


def error_answer(
    status: int, code: str, message: str, hint: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error as a response."""
    return JSONResponse(error_json(code, message, hint or HINTS.get(status)), status, headers)


def install(server: FastAPI) -> None:
    """Answer every exception of ``server`` in the one shape."""

    async def bad_query(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, BadQuery)
        return error_answer(BAD_QUERY_STATUS.get(error.code, 400), error.code, error.message, error.hint)

    async def http_error(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        status = error.status_code
        headers = dict(error.headers) if error.headers else None
        return error_answer(status, CODES.get(status, "error"), str(error.detail), headers=headers)

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5]]
        return error_answer(422, "invalid", "; ".join(faults), "The shape is described at /api/docs.")

    server.add_exception_handler(BadQuery, bad_query)
    server.add_exception_handler(HTTPException, http_error)
    server.add_exception_handler(RequestValidationError, invalid)
    server.add_middleware(Bugs)


class Bugs:
    """An exception nobody expected is one logged line and an answer like any other.

    Starlette's own catch for this stands outside of all middleware: its answer would miss the security
    headers, and the connection would be torn down.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watching)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            log.exception("%s %s failed", scope["method"], scope["path"])
            answer = error_answer(500, "internal", "The server failed at this.", "Its log says why.")
            await answer(scope, receive, send)
