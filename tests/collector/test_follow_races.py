"""What rotates a log does not wait for the follower: a rotation between any two of its steps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.following import Following, append, ids, lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "access.log"


@pytest.fixture(params=["access.log", "access.log*"])
def following(request: pytest.FixtureRequest, tmp_path: Path, log: Path) -> Iterator[Following]:
    """It has read lines 1 to 3, and was told since that its log is another file."""
    append(log, lines(1, 3))
    one = Following(tmp_path / "data", log.with_name(request.param)).start()
    one.turn()
    log.rename(log.with_name("access.log.1"))
    yield one
    one.stop()


def truncate_under_a_copy(log: Path, then: str) -> None:
    log.with_name("access.log.1").rename(log.with_name("access.log.2"))
    shutil.copy2(log, log.with_name("access.log.1"))
    os.truncate(log, 0)
    append(log, then)


@pytest.mark.parametrize("step", ["scan", "adopt_between"])
def test_a_new_log_is_truncated_under_a_copy(
    following: Following, log: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything of it was delivered: between finding and reading it, or between reading and delivering."""
    append(log, lines(4, 20))
    real = getattr(following.watch, step)

    def and_then(*arguments: object) -> None:
        if step == "scan":
            real(*arguments)
        truncate_under_a_copy(log, lines(21, 22))
        if step != "scan":
            real(*arguments)
        monkeypatch.undo()

    monkeypatch.setattr(following.watch, step, and_then)
    following.turn()
    following.turn(10)
    assert following.turn(10) == ids(1, 22)


def test_a_copy_that_is_there_before_its_log_is_read(
    following: Following, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is taken for one of what will be read of the log, which is truncated before that."""
    new = lines(4, 20)
    append(log, new[:40])
    following.turn()
    append(log, new[40:])
    log.with_name("access.log.1").rename(log.with_name("access.log.2"))
    shutil.copy2(log, log.with_name("access.log.1"))
    scan = following.watch.scan

    def and_then() -> None:
        scan()
        os.truncate(log, 0)
        append(log, lines(21, 22))
        monkeypatch.undo()

    monkeypatch.setattr(following.watch, "scan", and_then)
    following.turn()
    following.turn(10)
    assert following.turn(10) == ids(1, 22)
