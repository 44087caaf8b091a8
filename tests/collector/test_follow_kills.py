"""kill -9 of the follower, at every step and at any moment, while a log grows and is rotated in every way."""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.collector.following import doubled, follow_until_killed, ids, stored_ids
from tests.collector.log_writer import LogWriter
from tests.running_server import wait_for
from tests.store.journals import ask, open_store

STEPS = ("intended", "journalled", "settled", None)  # None: from outside, at any moment
ROUNDS = 8


class WritingThread(threading.Thread):
    """Writes as long as the test lasts; rotates when it is told to."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__(daemon=True)
        self.writer = writer
        self.rotations_due = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            self.writer.write(self.writer.chance.randint(1, 30))
            time.sleep(self.writer.chance.uniform(0.0, 0.05))
            if self.writer.rotations < self.rotations_due and self.writer.chance.random() < 0.3:
                self.writer.rotate()


class Killing:
    """Follower processes over one folder, each killed in its own way."""

    def __init__(self, data: Path, pattern: str, seed: int) -> None:
        self.data, self.pattern = data, pattern
        self.chance = random.Random(seed)
        # The server has imported everything once; a process of it begins within milliseconds.
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.collector.following"])

    def begin(self, step: str | None = None) -> BaseProcess:
        arguments = (self.data, self.pattern, step, self.chance.randrange(4))
        process = self.context.Process(target=follow_until_killed, args=arguments, daemon=True)
        process.start()
        return process

    def live_and_die(self, step: str | None) -> None:
        before = self.journal_bytes()
        process = self.begin(step)
        wait_for(lambda: not process.is_alive() or self.journal_bytes() > before, 180, "it delivers or dies")
        process.join(180 if step else self.chance.uniform(0.0, 0.1))
        process.kill()
        process.join()

    def journal_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.data / "journal").glob("*.journal"))


@pytest.mark.parametrize("pattern", ["access.log", "access.log*"])
@pytest.mark.slow
def test_every_line_is_stored_once_over_kills_and_rotations(tmp_path: Path, pattern: str) -> None:
    """Nothing lost, nothing twice: neither in the journal as the loader reads it, nor in the store itself."""
    logs, data = tmp_path / "logs", tmp_path / "data"
    logs.mkdir()
    writer = LogWriter(logs / "access.log", seed=11)
    writer.write(1)
    killing = Killing(data, str(logs / pattern), seed=7)
    killing.live_and_die(None)
    thread = WritingThread(writer)
    thread.start()
    try:
        for number in range(ROUNDS):
            thread.rotations_due += killing.chance.randrange(4)
            killing.live_and_die(STEPS[number % len(STEPS)])
    finally:
        thread.stopping.set()
        thread.join()
    process = killing.begin()
    wanted = ids(1, writer.written)
    wait_for(lambda: len(stored_ids(data)) >= len(wanted), 180, "all is there")
    time.sleep(0.3)  # what would be doubled comes late
    process.kill()
    process.join()
    assert writer.rotations >= ROUNDS // 2
    assert doubled(data) == []
    assert stored_ids(data) == wanted
    store = open_store(data)
    try:
        store.poll_once()
        counts = ask(store, "SELECT count(*), count(DISTINCT request_id) FROM observations_raw")
        assert counts == [(len(wanted), len(wanted))]
    finally:
        store.stop()
