"""Answers of the store for the panel and the trace pages, in the shape of /api/timeseries, /api/requests
and /api/traces; and a `queries` that gives them beside the made-up bookinfo graph.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from fixtures.traces import TRACE_ID, bookinfo_trace, large_trace
from tests.dashboard.bookinfo import FakeQueries

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def when(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def point(number: int, requests: int = 12) -> dict[str, Any]:
    """One step of five seconds; every tenth is empty, every seventh has errors."""
    empty = number % 10 == 4
    errors = 0 if empty or number % 7 else 2
    slow = 1 + 0.3 * math.sin(number / 5)
    return {
        "time": when(number * 5),
        "requests": 0 if empty else requests + number % 5,
        "rate": 0.0 if empty else (requests + number % 5) / 5,
        "errors": 0 if empty else errors,
        "client_gone": 0,
        "unknown": 0,
        "success_rate": None if empty else 1 - errors / (requests + number % 5),
        "p50_ms": None if empty else 11 * slow,
        "p95_ms": None if empty else 24 * slow,
        "p99_ms": None if empty else 41 * slow,
        "request_bytes": 0,
        "response_bytes": 0,
    }


def timeseries() -> dict[str, Any]:
    points = [point(number) for number in range(60)]
    return {"from": when(0), "to": when(300), "step_s": 5, "exact": True, "client": points, "server": points}


def request(number: int, **more: Any) -> dict[str, Any]:
    peer = {
        "namespace": "default",
        "app": None,
        "version": None,
        "instance": None,
        "address": "127.42.0.3:9080",
    }
    return {
        "time": when(299 - number * 0.37),
        "duration_ms": 11.25 + number,
        "reporter": "source",
        "signal": "als",
        "protocol": "http",
        "method": "GET",
        "authority": "reviews:9080",
        "path": f"/reviews/{number}",
        "route": "default",
        "status_code": 200,
        "grpc_status": None,
        "response_flags": [],
        "response_code_details": "via_upstream",
        "outcome": "ok",
        "attempts": 1,
        "request_id": "276bcff8-ddc0-9912-a9e7-ba963e5750d8",
        "trace_id": TRACE_ID,
        "span_id": "119d449aeb7575b4",
        "tls": "mutual",
        "user_agent": "rig-client/1.0",
        "request_bytes": 0,
        "response_bytes": 180,
        "source": peer | {"workload": "productpage-v1"},
        "destination": peer | {"workload": "reviews-v2", "service": "reviews.default.svc.cluster.local"},
        **more,
    }


def requests() -> dict[str, Any]:
    """The outcomes there are, and fillers up to twenty."""
    failed = {"outcome": "error", "status_code": 503, "response_flags": ["URX", "UF"], "attempts": 3}
    odd = [
        request(
            0, **failed, response_code_details="upstream_reset_before_response_started{connection_failure}"
        ),
        request(1, outcome="client_gone", status_code=0, response_flags=["DC"], trace_id=None),
        request(2, outcome="unknown", protocol="grpc", method="POST", path="/bookinfo.Details/Get"),
        request(
            3, outcome="error", protocol="grpc", method="POST", path="/bookinfo.Details/Get", grpc_status=14
        ),
        request(
            4, protocol="tcp", method=None, path=None, authority=None, status_code=None, duration_ms=90500.0
        ),
        request(5, outcome="error", status_code=503, response_flags=["FI"], trace_id="javascript:alert(1)"),
    ]
    fillers = [request(number) for number in range(len(odd), 20)]
    return {"from": when(0), "to": when(300), "exact": True, "requests": odd + fillers, "next": None}


def traces() -> dict[str, Any]:
    services = [{"name": name, "spans": 4} for name in ("productpage", "reviews", "ratings")]
    found = [
        {
            "trace_id": TRACE_ID if number == 0 else f"{number:032x}",
            "time": when(290 - number * 7),
            "duration_ms": 66.812
            if number == 0
            else 20 + 55 * abs(math.sin(number * 1.7)) + 900 * (number == 17),
            "root_service": "istio-ingressgateway",
            "root_name": "productpage.default.svc.cluster.local:9080/productpage*",
            "spans": 22 - number % 5,
            "errors": 6 if number == 0 else int(number % 9 == 5),
            "services": services,
        }
        for number in range(36)
    ]
    return {"traces": found, "next": None}


class Answers(FakeQueries):
    """`queries` whose every answer is from this file; what was asked is in ``asked``."""

    def timeseries(self, query: Any) -> dict[str, Any]:
        self.asked.append(("timeseries", query))
        return timeseries()

    def requests(self, query: Any) -> dict[str, Any]:
        self.asked.append(("requests", query))
        return requests()

    def traces(self, query: Any) -> dict[str, Any]:
        self.asked.append(("traces", query))
        return traces()

    def trace(self, trace_id: str) -> dict[str, Any] | None:
        self.asked.append(("trace", trace_id))
        if trace_id == TRACE_ID:
            return bookinfo_trace()
        return large_trace(10_000) if trace_id.startswith("0af7") else None
