"""A random walk: a log grows and is rotated, the follower looks, dies and comes back, in any order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.collector.following import Following, doubled, ids
from tests.collector.log_writer import LogWriter

STEPS = 60


class Died(BaseException):
    pass


class Walk:
    """The writer and the follower take steps in turn; a death leaves on the disk what kill -9 would."""

    def __init__(self, folder: Path, pattern: str, seed: int) -> None:
        (folder / "logs").mkdir()
        self.chance = random.Random(seed)
        self.writer = LogWriter(folder / "logs" / "access.log", seed)
        self.writer.write(1)
        self.following = Following(folder / "data", folder / "logs" / pattern).start()
        self.following.turn()

    def step(self) -> None:
        what = self.chance.random()
        if what < 0.45:
            self.writer.write(self.chance.randint(1, 5))
        elif what < 0.65:
            self.writer.rotate()
        elif what < 0.85:
            self._turn(None)
        else:
            self._turn(self.chance.choice(["intended", "journalled", "settled"]))

    def _turn(self, last_step: str | None) -> None:
        def die(name: str) -> None:
            if name == last_step:
                raise Died

        self.following.step = die
        try:
            if self.following.follower is None:
                self.following.start()
            self.following.turn()
        except Died:
            self.following.stop()

    def end(self) -> list[str]:
        self._turn(None)
        for _ in range(3):
            self.following.turn(10)
        return self.following.again()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pattern", ["access.log", "access.log*"])
def test_every_line_once_whatever_happens_when(tmp_path: Path, pattern: str, seed: int) -> None:
    """Nothing lost, nothing twice."""
    walk = Walk(tmp_path, pattern, seed)
    for _ in range(STEPS):
        walk.step()
    stored = walk.end()
    walk.following.stop()
    assert doubled(walk.following.data) == []
    assert stored == ids(1, walk.writer.written)
