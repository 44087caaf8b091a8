"""The dashboard's server in a test: real uvicorn on a free port around a `queries` that remembers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from dashboard.app import build_app
from dashboard.settings import DashboardSettings
from store.errors import BadQuery
from tests.dashboard.bookinfo import FakeQueries

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Answers(FakeQueries):
    """`FakeQueries` that also answers everything else; ``slow_s`` makes a graph take its time."""

    slow_s = 0.0

    def graph(self, query: Any) -> dict[str, Any]:
        time.sleep(self.slow_s)
        return super().graph(query)

    def requests(self, query: Any) -> dict[str, Any]:
        self.asked.append(("requests", query))
        return {
            "from": "2026-11-21T12:00:00Z",
            "to": "2026-11-21T12:05:00Z",
            "exact": True,
            "requests": [],
            "next": None,
        }

    def timeseries(self, query: Any) -> dict[str, Any]:
        self.asked.append(("timeseries", query))
        return {
            "from": "2026-11-21T12:00:00Z",
            "to": "2026-11-21T12:05:00Z",
            "step_s": 5,
            "exact": True,
            "client": [],
            "server": [],
        }

    def traces(self, query: Any) -> dict[str, Any]:
        self.asked.append(("traces", query))
        return {"traces": [], "next": None}

    def trace(self, trace_id: str) -> dict[str, Any]:
        if trace_id != TRACE:
            raise BadQuery("not_found", f"There is no trace {trace_id}.", "It may be too old.")
        return {"trace_id": TRACE, "spans": []}

    def sql(self, statement: str, format: str) -> Any:
        self.asked.append(("sql", (statement, format)))
        if "explode" in statement:
            raise RuntimeError("a secret of the server")
        return {"columns": ["a"], "rows": [[1]]} if format == "json" else b"a\n1\n"

    def known_imports(self, digests: list[str]) -> list[str]:
        return digests[:1]

    def workloads(self) -> dict[str, Any]:
        return {"workloads": []}


@contextmanager
def serving(queries: Any, **settings: Any) -> Iterator[str]:
    """``http://127.0.0.1:PORT`` of a running server; it ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = build_app(queries, DashboardSettings(ui=f"127.0.0.1:{port}", **settings))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
        assert thread.is_alive(), "the server ended before it started"
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
