"""`/api/graph` over 5 minutes at 3,000 requests a second, nothing else running: 30 workloads, and 200.

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

RATE, MINUTES, QUESTIONS = 3000, 5, 20
ROWS_A_FRAME = 50_000


def graph_latency() -> list[Row]:
    """Of 30 workloads known from the start; of 200, every second of which says who it is in the last minute."""
    return [_latency(30, False), _latency(200, True)]


def _latency(workloads: int, late: bool) -> Row:
    """Median and worst of 20 answers, whole HTTP round trips."""
    what = f"/api/graph, {workloads} workloads{', identities late' if late else ''}"
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        total = write_journal(data / "journal", workloads, late)
        with serving(data) as server:
            kept = server.wait_for_rows("observations", total, 600)
            if kept != total:
                return what, f"only {kept:,} of {total:,} rows loaded", "< 300 ms", ""
            _wait_until_sealed(data / "journal")
            window = {"from_": _text(START), "to": _text(START.replace(minute=START.minute + MINUTES))}
            took = []
            for _ in range(QUESTIONS):
                started = time.perf_counter()
                answer = server.get("/api/graph", **window)
                took.append((time.perf_counter() - started) * 1000)
            counted = sum(edge["requests"] for edge in answer["edges"])
            unknown = sum(node["kind"] == "unknown" for node in answer["nodes"])
    how = (
        f"{total:,} observations of 5 minutes at 3,000/s, {len(answer['edges'])} edges, {unknown} unknown nodes, "
        f"{counted:,} requests; median of 20, worst {max(took):.0f} ms"
    )
    return what, f"{statistics.median(took):.0f} ms", "< 300 ms", how


def write_journal(folder: Path, workloads: int, late: bool) -> int:
    """One journal file a minute; returns the observations written.

    ``late``: the pods of every second workload are told with the last minute's rows.
    """
    folder.mkdir(parents=True)
    pods = make_pods(workloads)
    pairs = make_edges(pods, seed=7)
    told_late = [late and number // 2 % 2 == 1 for number in range(len(pods))]
    told_in = {
        0: [pod for pod, waits in zip(pods, told_late, strict=True) if not waits],
        MINUTES - 1: [pod for pod, waits in zip(pods, told_late, strict=True) if waits],
    }
    total = 0
    for minute in range(MINUTES):
        rows = minute_rows(pods, pairs, RATE, minute)
        rows = rows.add_column(0, OBSERVATIONS.field("export"), pa.array(np.zeros(len(rows), np.int32)))
        with open(folder / f"bench-{minute:012d}.journal", "wb") as file:
            file.write(encode_header("bench", time.time_ns() // 1000))
            for start in range(0, len(rows), ROWS_A_FRAME):
                part = rows.slice(start, ROWS_A_FRAME).cast(OBSERVATIONS)
                tables: dict[str, pa.RecordBatch | pa.Table] = {"observations": part}
                if start == 0 and told_in.get(minute):
                    tables["identities"] = _identities(instances_table(told_in[minute], minute))
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
