"""``/api/store``: what the folder holds, and long work on it (seal, compact, verify, backup).

What must stay true: a job is started, and seen, only by who shows the token of the data folder's own file (mode
0600): they could read and write the folder anyway, so a job's path opens nothing to them that was closed.
"""

from __future__ import annotations

import hmac
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from dashboard.api_sql import json_body
from dashboard.ask import ask
from store.errors import BadQuery

_JOB = {
    "type": "object",
    "required": ["kind"],
    "properties": {
        "kind": {"type": "string", "enum": ["seal", "compact", "verify", "backup"]},
        "to": {"type": "string", "description": "backup: an absolute path on the server's machine"},
    },
    "example": {"kind": "backup", "to": "/var/backups/sidelight"},
}


def add_routes(router: APIRouter, queries: Any, local_token: str) -> None:
    """``GET /store/stats``, ``POST /store/jobs`` and ``GET /store/jobs/current`` on ``router``."""

    def check(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        known = local_token and scheme.lower() == "bearer"
        if not known or not hmac.compare_digest(given.strip().encode(), local_token.encode()):
            raise BadQuery(
                "local_only",
                "Jobs on the data folder are for who can read its token file.",
                "Run the sidelight command on the server's machine, as the server's user.",
            )

    @router.get("/store/stats", summary="What is stored, how much of it, and how long it is kept")
    async def store_stats() -> JSONResponse:
        return JSONResponse(await ask(queries.store_stats))

    @router.post(
        "/store/jobs",
        summary="Begin long work on the data folder, one job at a time; asks for the folder's own token",
        status_code=202,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _JOB}}}},
    )
    async def start_job(request: Request) -> JSONResponse:
        check(request)
        body = await json_body(request)
        kind = body.pop("kind", None)
        if not isinstance(kind, str):
            raise BadQuery("bad_kind", "kind is missing.", 'Send {"kind": "compact"}.')
        return JSONResponse(await ask(queries.start_job, kind, body), 202)

    @router.get("/store/jobs/current", summary="How far the job is, or how the last one ended")
    async def current_job(request: Request) -> JSONResponse:
        check(request)
        job = await ask(queries.current_job)
        if job is None:
            raise BadQuery("no_job", "No job was started since the server began.", "POST /api/store/jobs.")
        return JSONResponse(job)
