"""A follower driven turn by turn, with a real journal and files, and a clock that the test moves."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from collector.follow_positions import PositionLog
from collector.follow_targets import follow_targets
from collector.follow_watch import Watch
from collector.follow_writers import Writers
from collector.follower import Follower, Pace
from collector.journal import JournalWriter, writer_name
from collector.metrics import Metrics
from tests.collector.journal_reading import read_folder

_LINE = (
    '[2026-11-21T12:{minute:02d}:{second:02d}.{milli:03d}Z] "GET /{name}/{number} HTTP/1.1" 200 - via_upstream - "-" '
    '0 180 9 8 "-" "curl/8" "{name}-{number}" "details:9080" "10.0.0.4:9080" '
    "outbound|9080||details.default.svc.cluster.local 10.0.0.3:43298 10.96.0.3:9080 10.0.0.3:58127 - default\n"
)


def line(number: int, name: str = "r") -> str:
    """An Istio text line with the request id ``NAME-NUMBER``."""
    second, milli = divmod(number, 1000)
    return _LINE.format(minute=second // 60 % 60, second=second % 60, milli=milli, name=name, number=number)


def lines(first: int, last: int, name: str = "r") -> str:
    """Lines ``first`` to ``last``, both included."""
    return "".join(line(number, name) for number in range(first, last + 1))


def ids(first: int, last: int, name: str = "r") -> list[str]:
    return sorted(f"{name}-{number}" for number in range(first, last + 1))


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def stored(data: Path, table: str = "observations") -> list[dict[str, Any]]:
    """The rows in the journal as the store's loader takes them: of each digest the first delivery."""
    seen: set[str] = set()
    rows: list[dict[str, Any]] = []
    for batch in read_folder(data / "journal"):
        fresh = batch.exports[0].digest not in seen
        seen.add(batch.exports[0].digest)
        if fresh and table in batch.tables:
            rows += batch.tables[table].to_pylist()
    return rows


def stored_ids(data: Path) -> list[str]:
    """The request ids of all rows, sorted; one that is there twice is there twice."""
    return sorted(str(row["request_id"]) for row in stored(data))


def doubled(data: Path) -> list[str]:
    return [one for one, count in Counter(stored_ids(data)).items() if count > 1]


class Following:
    """``start`` … ``turn`` … ``stop``, any number of times over one data folder."""

    def __init__(self, data: Path, *paths: Path | str | dict[str, Any]) -> None:
        self.data = data
        entries = [path if isinstance(path, dict) else {"path": str(path)} for path in paths]
        self.targets = follow_targets(entries)
        self.now = 0.0
        self.follower: Follower | None = None
        self.metrics = Metrics("follower")
        self.stopping = threading.Event()
        self.limit_bytes: int | None = None
        self.step: Callable[[str], None] = lambda _: None

    def start(self, pace: Pace | None = None, clock: Callable[[], float] | None = None) -> Following:
        self.positions = PositionLog(self.data / "follow")
        self.journal = JournalWriter(self.data / "journal", writer_name("follower"), self.limit_bytes)
        clock = clock or (lambda: self.now)
        self.watch = Watch(self.targets, self.positions, clock=clock)
        self.metrics = Metrics("follower")
        self.follower = Follower(
            self.watch,
            self.positions,
            Writers(self.targets),
            self.journal,
            self.metrics,
            self.stopping,
            pace or Pace(full=0.01),
            step=lambda name: self.step(name),
            clock=clock,
        )
        self.follower.recover()
        return self

    def turn(self, seconds: float = 1.0) -> list[str]:
        """Turns until nothing waits, the clock ``seconds`` further; all request ids stored since the beginning."""
        assert self.follower is not None
        self.now += seconds
        while self.follower.turn():
            pass
        return stored_ids(self.data)

    def stop(self) -> None:
        self.journal.close()
        self.watch.close()
        self.positions.close()
        self.follower = None

    def again(self) -> list[str]:
        """A restart, and one turn."""
        self.stop()
        return self.start().turn()

    def counted(self, name: str) -> float:
        for series in self.metrics.snapshot():
            if series["name"] == name:
                return sum(sample["value"] for sample in series["samples"])
        return 0


def follow_until_killed(data: Path, pattern: str, step: str | None, visits: int) -> None:
    """A process that follows as fast as it can, and dies by its own hand at the given visit of a step."""
    following = Following(data, pattern)
    left = [visits]

    def die(name: str) -> None:
        left[0] -= name == step
        if step and left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    following.step = die
    following.start(Pace(poll=0.002, scan=0.0, last_line=0.1), time.monotonic)
    assert following.follower is not None
    following.follower.run()
