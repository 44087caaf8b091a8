"""``POST /api/sql``: one read-only statement in, a table out, in the format ``Accept`` asks for."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from dashboard.ask import ask
from store.errors import BadQuery

MAX_BODY = 1 << 20

# Media type → the format's name in `Queries.sql`.
FORMATS = {
    "application/json": "json",
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.parquet": "parquet",
}
ANY = ("*/*", "application/*")


def wanted_format(accept: str) -> tuple[str, str]:
    """(media type, format) for an ``Accept`` header; the first acceptable by quality. Raises BadQuery."""
    choices: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.split(",")):
        kind, *options = (piece.strip().lower() for piece in part.split(";"))
        quality = next((o[2:] for o in options if o.startswith("q=")), "1")
        try:
            choices.append((-float(quality), place, kind))
        except ValueError:
            continue
    for quality_, _, kind in sorted(choices):
        if quality_ == 0:
            continue
        if kind in FORMATS:
            return kind, FORMATS[kind]
        if kind in ANY or not kind:
            return "application/json", "json"
        if kind == "text/*":
            return "text/csv", "csv"
    raise BadQuery("not_acceptable", f"Accept: {accept[:100]} is none of the formats.", ", ".join(FORMATS))


async def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object, at most 1 MiB. Raises BadQuery."""
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            raise BadQuery("too_large", "The body is over 1 MiB.", "Send a shorter statement.")
        parts.append(chunk)
    try:
        body = json.loads(b"".join(parts))
    except ValueError:
        raise BadQuery("bad_json", "The body is not JSON.", 'Send {"sql": "SELECT 1"}.') from None
    if not isinstance(body, dict):
        raise BadQuery("bad_json", "The body is not a JSON object.", 'Send {"sql": "SELECT 1"}.')
    return body


def add_routes(router: APIRouter, queries: Any) -> None:
    """``POST /sql`` on ``router``."""

    @router.post(
        "/sql",
        summary="One read-only SQL statement over all tables",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["sql"],
                            "properties": {"sql": {"type": "string"}},
                            "example": {"sql": "SELECT count(*) AS requests FROM requests"},
                        }
                    }
                },
            },
            "responses": {"200": {"description": "The table", "content": {kind: {} for kind in FORMATS}}},
        },
    )
    async def sql(request: Request) -> Response:
        kind, name = wanted_format(request.headers.get("accept", "*/*"))
        statement = (await json_body(request)).get("sql")
        if not isinstance(statement, str) or not statement.strip():
            raise BadQuery("no_statement", "sql is missing or empty.", 'Send {"sql": "SELECT 1"}.')
        found = await ask(queries.sql, statement, name)
        if isinstance(found, bytes | bytearray | memoryview):
            return Response(bytes(found), media_type=kind)
        if isinstance(found, str):
            return Response(found, media_type=kind)
        return JSONResponse(found)
