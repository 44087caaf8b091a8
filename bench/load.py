"""What both load generators share: a collector of their own, sender processes, and the figure.

Give ``--grpc HOST:PORT`` to load a running ``sidelight serve``; without it a collector alone (no
store) is started on a free port over a temporary folder, and its memory is told as well.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_ALONE = """
import sys
from pathlib import Path
from collector.main import run_collector
from collector.settings import CollectorSettings
values = dict(data=Path(sys.argv[1]), grpc="127.0.0.1:0", http="127.0.0.1:0", journal_limit_bytes=20 << 30)
sys.exit(run_collector(CollectorSettings.from_mapping(values)))
"""

Sender = Callable[[str, int, float, argparse.Namespace], tuple[int, int]]


@dataclass(frozen=True)
class Target:
    grpc: str
    pid: int | None
    data: Path | None


def arguments(records: str, default_records: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--grpc", help="HOST:PORT of a running server; default: a collector of its own")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--senders", type=int, default=4, help="processes")
    parser.add_argument("--in-flight", type=int, default=8, help="exports or streams of each sender")
    parser.add_argument(f"--{records}", type=int, default=default_records, help=f"{records} in a message")
    parser.add_argument("--json", action="store_true")
    return parser


def measure(what: str, send: Sender, options: argparse.Namespace) -> dict[str, float | str]:
    """Run the senders and return acknowledged records a second, refusals and, if ours, memory in MB."""
    with _target(options.grpc) as target:
        with multiprocessing.get_context("spawn").Pool(options.senders) as pool:
            pool.map(abs, range(options.senders))  # started before the clock is
            start = time.time() + 3
            work = [(target.grpc, number, start, options) for number in range(options.senders)]
            counts = pool.starmap(send, work)
        seconds = time.time() - start
        taken = sum(count for count, _ in counts)
        figures: dict[str, float | str] = {
            "what": what,
            "seconds": round(seconds, 1),
            "acknowledged": taken,
            "per_second": round(taken / seconds),
            "refused_messages": sum(refused for _, refused in counts),
        }
        if target.pid is not None and target.data is not None:
            figures |= _memory_mb(target.pid)
            journal = sum(path.stat().st_size for path in (target.data / "journal").iterdir())
            figures["journal_bytes_per_record"] = round(journal / max(1, taken))
        return figures


def show(figures: dict[str, float | str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:,}" if isinstance(value, int | float) else f"{name:28} {value}")


@contextlib.contextmanager
def _target(address: str | None) -> Iterator[Target]:
    if address is not None:
        yield Target(address, None, None)
        return
    with tempfile.TemporaryDirectory(prefix="sidelight-bench-") as folder:
        data = Path(folder)
        process = subprocess.Popen([sys.executable, "-c", _ALONE, folder])
        try:
            yield Target(_listening(data, process), process.pid, data)
        finally:
            process.terminate()
            process.wait(60)


def _listening(data: Path, process: subprocess.Popen[bytes]) -> str:
    path = data / "run" / "collector0.metrics.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            return str(json.loads(path.read_text())["listening"]["grpc"])
        time.sleep(0.1)
    raise SystemExit("the collector did not start")


def _memory_mb(pid: int) -> dict[str, float | str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {
        "collector_rss_mb": round(int(found["VmRSS"].split()[0]) / 1024),
        "collector_peak_rss_mb": round(int(found["VmHWM"].split()[0]) / 1024),
        "collector_cpu_s": round(_cpu_seconds(pid), 1),
    }


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
