"""Resident memory of all processes: idle, and minute by minute under the span load."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.server import serving

Row = tuple[str, str, str, str]


def idle_memory() -> list[Row]:
    """All processes, 20 s after the start, without traffic."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
        time.sleep(20)
        return [
            (
                "resident memory, idle",
                f"{server.resident_mb():,.0f} MB",
                "< 400 MB",
                "all processes, after 20 s",
            )
        ]


def loaded_memory(minutes: int) -> list[Row]:
    """All processes, minute by minute, under the span load at full speed. Peaks are seals."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
        load = subprocess.Popen(
            [sys.executable, "-m", "bench.load_otlp", "--grpc", server.grpc, "--seconds", str(60 * minutes)],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        peaks: list[float] = []
        medians: list[float] = []
        try:
            for _ in range(minutes):
                seen: list[float] = []
                for _ in range(30):
                    time.sleep(2)
                    seen.append(server.resident_mb())
                peaks.append(max(seen))
                medians.append(statistics.median(seen))
        finally:
            os.killpg(load.pid, signal.SIGKILL)  # its senders too, before the server is gone
            load.wait()
    how = "peak per minute: " + ", ".join(f"{value:,.0f}" for value in peaks)
    rows = [("resident memory, full span load", f"{max(peaks):,.0f} MB", "< 1,200 MB", how)]
    if minutes >= 5:
        drift = medians[4] / medians[1] - 1
        how = "median per minute: " + ", ".join(f"{value:,.0f}" for value in medians)
        rows.append(("memory, minute 5 against minute 2", f"{drift:+.1%}", "within 5 %", how))
    return rows


def soaked_memory(minutes: int = 30) -> list[Row]:
    """All processes at 10,000 spans a second, and by how much they grow: a line through what the minutes after the
    fifth had at the median."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
        load = subprocess.Popen(
            [sys.executable, "-m", "bench.load_otlp", "--grpc", server.grpc, "--seconds", str(60 * minutes),
             "--senders", "1", "--rate", "10000"],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        medians, peak = [], 0.0
        try:
            for _ in range(minutes):
                seen = []
                for _ in range(30):
                    time.sleep(2)
                    seen.append(server.resident_mb())
                medians.append(statistics.median(seen))
                peak = max(peak, *seen)
                print(f"{len(medians)} min: {medians[-1]:,.0f} MB", file=sys.stderr, flush=True)
        finally:
            os.killpg(load.pid, signal.SIGKILL)
            load.wait()
    settled = medians[5:] if minutes > 10 else medians
    slope, _ = statistics.linear_regression(range(len(settled)), settled)
    how = f"peak {peak:,.0f} MB; median per minute: " + ", ".join(f"{value:,.0f}" for value in medians)
    return [(f"memory over {minutes} minutes", f"{slope:+.1f} MB a minute", "", how)]
