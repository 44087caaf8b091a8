"""Resident memory of all processes: idle, and minute by minute under the span load."""

from __future__ import annotations

import os
import signal
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
    """All processes at the end of each minute of the span load at full speed."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
        load = subprocess.Popen(
            [sys.executable, "-m", "bench.load_otlp", "--grpc", server.grpc, "--seconds", str(60 * minutes)],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        seen: list[float] = []
        try:
            for _ in range(minutes):
                peak = 0.0
                for _ in range(12):
                    time.sleep(5)
                    peak = max(peak, server.resident_mb())
                seen.append(peak)
        finally:
            os.killpg(load.pid, signal.SIGKILL)  # its senders too, before the server is gone
            load.wait()
    how = "peak per minute: " + ", ".join(f"{value:,.0f}" for value in seen)
    rows = [("resident memory, full span load", f"{max(seen):,.0f} MB", "< 1,200 MB", how)]
    if minutes >= 5:
        drift = seen[4] / seen[1] - 1
        rows.append(("memory, minute 5 against minute 2", f"{drift:+.1%}", "within 5 %", "same run"))
    return rows
