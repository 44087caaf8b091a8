"""The JSON API: thin routes from query parameters to the store's typed queries.

A route reads parameters, asks in the query pool, answers. Parameters are read by the store's query
types, so that the API, the command line and the pages refuse the same things in the same words;
FastAPI only documents them. What must stay true: `build_router` declares ``/api/{rest}`` last, or
Dash's catch-all would answer unknown paths with a page and status 200.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import QueryParams

from dashboard import api_docs, api_sql, api_store
from dashboard.ask import ask
from dashboard.errors import error_answer
from dashboard.json_answer import JsonAnswer
from store.errors import BadQuery
from store.query_types import GraphQuery, RequestsQuery, TimeseriesQuery, TracesQuery

Status = Callable[[], dict[str, Any]]

REPEATABLE = frozenset({"namespace"})
MAX_DIGESTS = 10_000
END = "nothing"  # the name of the routes that end what no other route answers
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def parameters(query: QueryParams) -> dict[str, Any]:
    """A query string as the query types read it: text by name, a list for a name that may be repeated."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(query):
        values = query.getlist(name)
        if name in REPEATABLE:
            found[name] = values
        elif len(values) > 1:
            raise BadQuery("repeated_parameter", f"{name} is given {len(values)} times.", "Give it once.")
        else:
            found[name] = values[0]
    return found


def build_router(queries: Any, status: Status, local_token: str = "") -> APIRouter:
    """Every route under /api."""
    router = APIRouter(prefix="/api")
    _add_reads(router, queries)
    _add_traces(router, queries)
    api_sql.add_routes(router, queries)
    _add_imports(router, queries)
    api_store.add_routes(router, queries, local_token)
    _add_status(router, status)
    api_docs.add_routes(router)

    @router.api_route("/{rest:path}", methods=METHODS, include_in_schema=False, name=END)
    async def nothing(request: Request) -> JSONResponse:
        return nothing_here(router.routes, request)

    return router


def nothing_here(routes: Iterable[Any], request: Request) -> JSONResponse:
    """405 where another of our routes has this path, else 404."""
    path = request.url.path
    allowed = _methods_of(routes, path)
    if allowed and request.method not in allowed:
        names = ", ".join(sorted(allowed))
        message = f"{path[:200]} takes {names}."
        return error_answer(405, "method_not_allowed", message, headers={"Allow": names})
    return error_answer(404, "not_found", f"There is no {path[:200]}.")


def _methods_of(routes: Iterable[Any], path: str) -> set[str]:
    """The methods of those routes that match the path, catch-alls left out."""
    found: set[str] = set()
    for route in routes:
        regex, methods = getattr(route, "path_regex", None), getattr(route, "methods", None)
        if regex and methods and route.name != END and regex.match(path):
            found |= methods
    return found


def _add_reads(router: APIRouter, queries: Any) -> None:
    reads: Mapping[str, tuple[Any, Any, str]] = {
        "graph": (queries.graph, GraphQuery, "The service graph of a time window"),
        "requests": (queries.requests, RequestsQuery, "The requests behind an edge or a node, newest first"),
        "timeseries": (queries.timeseries, TimeseriesQuery, "Rate, success and latency over time"),
        "traces": (queries.traces, TracesQuery, "Traces, newest first"),
    }
    for name, (method, kind, summary) in reads.items():
        _add_read(router, name, method, kind, summary)


def _add_read(router: APIRouter, name: str, method: Any, kind: Any, summary: str) -> None:
    async def read(request: Request) -> JSONResponse:
        return JsonAnswer(await ask(method, kind.from_params(parameters(request.query_params))))

    router.add_api_route(
        f"/{name}",
        read,
        name=name,
        methods=["GET"],
        summary=summary,
        openapi_extra={"parameters": api_docs.PARAMETERS[name]},
        response_class=JSONResponse,
    )


def _add_traces(router: APIRouter, queries: Any) -> None:
    @router.get("/traces/{trace_id}", summary="One trace, its spans in depth-first order")
    async def trace(trace_id: str) -> JSONResponse:
        found = await ask(queries.trace, trace_id)
        if found is None:
            raise BadQuery("trace_not_found", f"There is no trace {trace_id[:64]}.", "It may be too old.")
        return JsonAnswer(found)


def _add_imports(router: APIRouter, queries: Any) -> None:
    @router.post("/import/known", summary="Which of these import digests are here already")
    async def known(request: Request) -> JSONResponse:
        body = await api_sql.json_body(request)
        digests = body.get("digests")
        if not isinstance(digests, list) or not all(isinstance(d, str) for d in digests):
            raise BadQuery("bad_digests", "digests is not a list of texts.", 'Send {"digests": ["…"]}.')
        if len(digests) > MAX_DIGESTS:
            raise BadQuery("too_large", f"{len(digests)} digests are too many.", f"Send {MAX_DIGESTS}.")
        return JSONResponse({"known": sorted(await ask(queries.known_imports, digests))})


def _add_status(router: APIRouter, status: Status) -> None:
    @router.get("/health", summary="Whether the server answers, and what its parts say")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok", "store": await ask(status)})

    @router.get("/doctor", summary="What arrives and what is missing")
    async def doctor() -> Response:
        return JSONResponse(await ask(status))
