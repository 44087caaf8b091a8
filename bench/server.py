"""A whole `sidelight serve` of its own for a measurement: free ports, a folder that is thrown away."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.running_server import Server


class MeasuredServer(Server):
    """A server that can tell its memory and how many rows it holds."""

    def resident_mb(self) -> float:
        """Resident memory of the supervisor and all its children, MB. Shared pages count in each."""
        assert self.process is not None
        return sum(_resident_kb(pid) for pid in (self.process.pid, *self.children())) / 1024

    def rows(self, relation: str) -> int:
        (row,) = self.sql(f"SELECT count(*) AS n FROM {relation}")
        return int(row["n"])

    def wait_for_rows(self, relation: str, wanted: int, seconds: float = 120) -> int:
        """Rows of ``relation`` once they are ``wanted``, or after ``seconds``."""
        deadline = time.monotonic() + seconds
        while (found := self.rows(relation)) < wanted and time.monotonic() < deadline:
            time.sleep(1)
        return found


@contextlib.contextmanager
def serving(data: Path) -> Iterator[MeasuredServer]:
    server = MeasuredServer(data)
    try:
        server.start(120)
        yield server
    finally:
        server.stop()


def _resident_kb(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
