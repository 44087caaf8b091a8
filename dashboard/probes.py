"""``/healthz`` (the process answers), ``/readyz`` (the store answers too) and ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from dashboard import metrics
from dashboard.ask import ask
from dashboard.errors import error_answer
from dashboard.settings import DashboardSettings


def build_router(settings: DashboardSettings, status: Callable[[], dict[str, Any]]) -> APIRouter:
    """The three routes."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/healthz", methods=["GET", "HEAD"])
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @router.api_route("/readyz", methods=["GET", "HEAD"])
    async def readyz() -> Response:
        try:
            ready = (await ask(status)).get("healthy", True)
        except Exception:  # whatever is wrong with the store, the answer is: not ready
            ready = False
        if not ready:
            return error_answer(503, "not_ready", "The store is not ready yet.", "Try again in a second.")
        return PlainTextResponse("ready\n")

    @router.get("/metrics")
    async def metrics_text() -> Response:
        def collect() -> str:
            return metrics.exposition(metrics.everything(settings.data, status()))

        return Response(await ask(collect), media_type=metrics.CONTENT_TYPE)

    return router
