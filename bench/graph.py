"""`/api/graph` over 5 minutes at 3,000 requests a second: 1.8 million observations, nothing else running.

The rows go in as a collector would hand them over (journal files), are loaded and sealed by the server,
and the question is asked over HTTP, 20 times.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.generate_observations import START, instances_table, make_edges, make_pods, minute_rows
from bench.server import serving
from store.frames import Batch, ExportMark, encode_frame, encode_header
from store.schema import IDENTITIES, OBSERVATIONS

Row = tuple[str, str, str, str]

RATE, MINUTES, WORKLOADS, QUESTIONS = 3000, 5, 30, 20
ROWS_A_FRAME = 50_000


def graph_latency() -> list[Row]:
    """Median and worst of 20 answers, whole HTTP round trips."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        total = write_journal(data / "journal")
        with serving(data) as server:
            kept = server.wait_for_rows("observations", total, 600)
            if kept != total:
                return [("/api/graph, 5 minutes", f"only {kept:,} of {total:,} rows loaded", "< 300 ms", "")]
            _wait_until_sealed(data / "journal")
            window = {"from_": _text(START), "to": _text(START.replace(minute=START.minute + MINUTES))}
            took = []
            for _ in range(QUESTIONS):
                started = time.perf_counter()
                answer = server.get("/api/graph", **window)
                took.append((time.perf_counter() - started) * 1000)
            counted = sum(edge["requests"] for edge in answer["edges"])
    how = f"{total:,} observations, {len(answer['edges'])} edges, {counted:,} requests; worst {max(took):.0f} ms"
    return [
        (
            "/api/graph, 5 minutes at 3,000/s, median of 20",
            f"{statistics.median(took):.0f} ms",
            "< 300 ms",
            how,
        )
    ]


def write_journal(folder: Path) -> int:
    """One journal file a minute; returns the observations written."""
    folder.mkdir(parents=True)
    pods = make_pods(WORKLOADS)
    pairs = make_edges(pods, seed=7)
    total = 0
    for minute in range(MINUTES):
        rows = minute_rows(pods, pairs, RATE, minute)
        rows = rows.add_column(0, OBSERVATIONS.field("export"), pa.array(np.zeros(len(rows), np.int32)))
        with open(folder / f"bench-{minute:012d}.journal", "wb") as file:
            file.write(encode_header("bench", time.time_ns() // 1000))
            for start in range(0, len(rows), ROWS_A_FRAME):
                part = rows.slice(start, ROWS_A_FRAME).cast(OBSERVATIONS)
                tables: dict[str, pa.RecordBatch | pa.Table] = {"observations": part}
                if start == 0 and minute == 0:
                    tables["identities"] = _identities(instances_table(pods))
                mark = ExportMark(os.urandom(16).hex(), time.time_ns() // 1000, "als")
                for buffer in encode_frame(Batch([mark], tables)):
                    file.write(buffer)
        total += len(rows)
    return total


def _identities(instances: pa.Table) -> pa.Table:
    columns = {"export": pa.array(np.zeros(len(instances), np.int32)), "time": instances["valid_from"]}
    arrays = [columns.get(field.name) or instances[field.name] for field in IDENTITIES]
    return pa.table(arrays, schema=IDENTITIES)


def _wait_until_sealed(journal: Path, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while any(journal.glob("bench-*.journal")) and time.monotonic() < deadline:
        time.sleep(0.5)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
