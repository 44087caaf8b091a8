"""How long after its acknowledgement a request is in `/api/graph`: what the open page waits for too.

The page looks for news every 0.4 s (`dashboard/live.py`), so what a user waits is this and that.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import grpc

from bench.server import MeasuredServer, serving
from tests.payloads import TRACES, proxy_pair

Row = tuple[str, str, str, str]
TIMES = 20


def freshness() -> list[Row]:
    """Median and worst of 20 requests, one at a time."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "data") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        export = channel.unary_unary(TRACES)
        waits = []
        for number in range(1, TIMES + 1):
            export(proxy_pair().SerializeToString(), timeout=60)
            acknowledged = time.perf_counter()
            while _requests(server) < number:
                time.sleep(0.02)
            waits.append(time.perf_counter() - acknowledged)
    return [
        (
            "acknowledged → in /api/graph, median of 20",
            f"{statistics.median(waits) * 1000:,.0f} ms",
            "< 2,000 ms",
            f"worst {max(waits) * 1000:,.0f} ms; asked again and again",
        )
    ]


def _requests(server: MeasuredServer) -> int:
    return sum(edge["requests"] for edge in server.get("/api/graph", window="15m")["edges"])
