"""One small store for the tests of questions: a call with a retry every ten seconds, and its spans."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from store.queries import Queries
from tests.store.journals import NOON, NOON_US, batch, observation, open_store, write_journal

TRACE = uuid.UUID("0af7651916cd43dd8448eb211c80319c")
WINDOW = {"from": "2026-11-21T12:00:00Z", "to": "2026-11-21T12:05:00Z"}
PODS = [("productpage-1", "127.42.0.3", "productpage", "v1"), ("reviews-2", "127.42.0.6", "reviews", "v2")]


@contextmanager
def asked_store(folder: Path) -> Iterator[Queries]:
    """Twelve requests, one every ten seconds, each the k-th taking k ms; every fourth is a 503."""
    write_journal(folder / "journal", "asked-1", [batch("all", **_rows())])
    store = open_store(folder)
    store.poll_once()
    try:
        yield Queries(store)
    finally:
        store.stop()


def _rows() -> dict[str, list[dict[str, Any]]]:
    return {
        "identities": [identity(*pod) for pod in PODS],
        "observations": [row for number in range(1, 13) for row in _call(number)],
        "resources": [
            {"resource": 0, "attributes": [("service.name", "productpage.default")]},
            {"resource": 1, "attributes": [("service.name", "reviews")]},
        ],
        "spans": [
            _span(
                1,
                None,
                0,
                30,
                service_name="productpage.default",
                is_proxy=True,
                emitter="productpage-1.default",
            ),
            _span(3, 2, 2, 10, resource=1, service_name="reviews", name="render", status="error"),
            _span(2, 1, 1, 20, resource=1, service_name="reviews", name="GET /reviews", kind="server"),
            _span(9, 77, 5, 1, resource=1, service_name="reviews", name="lost"),
            _span(4, 1, -1, 1, resource=1, service_name="reviews", name="early"),
        ],
    }


def identity(pod: str, address: str, app: str, version: str) -> dict[str, Any]:
    return {
        "time": NOON, "evidence": "als_node", "emitter": f"{pod}.default", "address": address,
        "node_type": "sidecar", "cluster": "Kubernetes", "namespace": "default", "pod": pod,
        "workload": f"{app}-{version}", "app": app, "version": version,
        "service": f"{app}.default.svc.cluster.local",
    }  # fmt: skip


def _call(number: int) -> list[dict[str, Any]]:
    code = 503 if number % 4 == 0 else 200
    common = {
        "status_code": code,
        "request_id": f"r{number}",
        "trace_id": TRACE.bytes if number == 1 else None,
    }
    inbound = {
        "reporter": "destination", "emitter": "reviews-2.default", "upstream_cluster": "inbound|9080||",
        "source_address": "127.42.0.3:5000", "downstream_local_address": "127.42.0.6:9080",
        "upstream_address": "127.42.0.6:19080",
    }  # fmt: skip
    return [
        observation(number * 10, duration_us=number * 1000, attempts=1, **common),
        observation(number * 10 + 0.001, duration_us=number * 500, **common, **inbound),
    ]


def _span(span: int, parent: int | None, start_ms: int, ms: int, **columns: Any) -> dict[str, Any]:
    row = {
        "time": NOON + timedelta(seconds=10, milliseconds=start_ms),
        "time_ns": NOON_US * 1000 + 10_000_000_000 + start_ms * 1_000_000,
        "duration_ns": ms * 1_000_000, "trace_id": TRACE.bytes, "span_id": span, "parent_span_id": parent,
        "name": "reviews:9080/*", "kind": "client", "status": "unset", "is_proxy": False, "resource": 0,
        "attributes": [("k", "v")], "links": [],
        "events": [{"time_ns": NOON_US * 1000 + 10_005_000_000, "name": "e", "attributes": []}],
    }  # fmt: skip
    return row | columns
