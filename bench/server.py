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

    def wait_for_rows(self, table: str, wanted: int, seconds: float = 600) -> int:
        """Rows of ``table`` the store holds once they are ``wanted``, or after ``seconds``.

        By the store's own count, hot and sealed: a SQL statement reads the journals itself and would take
        the processor from what is measured.
        """
        deadline = time.monotonic() + seconds
        while (found := self._loaded(table)) < wanted and time.monotonic() < deadline:
            time.sleep(0.5)
        return found

    def _loaded(self, table: str) -> int:
        rows = self.get("/api/health")["store"]["rows"][table]
        return int(rows["hot"] + rows["sealed"])


@contextlib.contextmanager
def serving(data: Path, *options: str) -> Iterator[MeasuredServer]:
    server = MeasuredServer(data, *options)
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
