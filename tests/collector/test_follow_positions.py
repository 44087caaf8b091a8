"""The position file: what survives a crash at any byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from collector import follow_positions
from collector.errors import Draining
from collector.follow_positions import Position, PositionLog, PositionsInUse
from tests.collector.following import Following, append, ids, lines

LOG = Position(key=1, origin="/logs/a.log", path="/logs/a.log", device=5, inode=7)


def behind(position: Position, offset: int) -> Position:
    return replace(position, offset=offset, lines=offset // 10, head="ab", head_bytes=10)


def test_an_open_intent_comes_back_with_the_same_digest_and_moment(tmp_path: Path) -> None:
    """The same delivery again, for the loader to recognise; the position is still the one before it."""
    positions = PositionLog(tmp_path)
    first = positions.intend([(1, 0, 10)], [behind(LOG, 10)], 1_000)
    positions.settle()
    second = positions.intend([(1, 10, 30)], [behind(LOG, 30)], 2_000)
    assert first.digest != second.digest
    positions.close()
    again = PositionLog(tmp_path)
    assert again.unsettled == second
    assert again.positions == {1: behind(LOG, 10)}
    again.settle()
    again.close()
    assert PositionLog(tmp_path).positions == {1: behind(LOG, 30)}


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_torn_last_line_is_as_if_never_written(tmp_path: Path, cut: int) -> None:
    """An announcement that is not whole announced nothing: its rows were not delivered yet."""
    positions = PositionLog(tmp_path)
    positions.intend([(1, 0, 10)], [behind(LOG, 10)], 1_000)
    positions.settle()
    whole = (tmp_path / "positions").read_bytes()
    positions.intend([(1, 10, 30)], [behind(LOG, 30)], 2_000)
    positions.close()
    (tmp_path / "positions").write_bytes((tmp_path / "positions").read_bytes()[: len(whole) + cut])
    again = PositionLog(tmp_path)
    assert again.unsettled is None
    assert again.positions == {1: behind(LOG, 10)}


def test_numbers_and_keys_are_never_used_twice(tmp_path: Path) -> None:
    """A digest or a key that comes again would make one log's rows another's: also behind an open intent."""
    positions = PositionLog(tmp_path)
    key = positions.new_key()
    first = positions.intend([(key, 0, 10)], [behind(replace(LOG, key=key), 10)], 1_000)
    positions.close()
    again = PositionLog(tmp_path)
    assert again.new_key() > key
    again.settle()
    again.forget([key])
    again.close()
    once_more = PositionLog(tmp_path)
    assert once_more.new_key() > key
    assert once_more.intend([(9, 0, 1)], [], 3_000).digest != first.digest


def test_the_file_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is replaced by what counts, and says the same after it."""
    monkeypatch.setattr(follow_positions, "_COMPACT_BYTES", 2_000)
    positions = PositionLog(tmp_path)
    sizes = []
    for number in range(1, 100):
        positions.intend([(1, number * 10 - 10, number * 10)], [behind(LOG, number * 10)], number)
        positions.settle()
        sizes.append((tmp_path / "positions").stat().st_size)
    assert max(sizes) < 10_000
    positions.close()
    assert PositionLog(tmp_path).positions == {1: behind(LOG, 990)}


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Two followers would deliver everything twice."""
    positions = PositionLog(tmp_path)
    with pytest.raises(PositionsInUse):
        PositionLog(tmp_path, lock_wait_s=0)
    positions.close()
    PositionLog(tmp_path, lock_wait_s=0).close()


def test_a_full_journal_makes_it_wait_and_lose_nothing(tmp_path: Path) -> None:
    """The files keep what is not read; what was announced is delivered once there is room."""
    log = tmp_path / "access.log"
    append(log, lines(1, 5))
    following = Following(tmp_path / "data", log)
    following.limit_bytes = 1000
    following.start()
    following.stopping.set()  # the first wait for room ends it
    with pytest.raises(Draining):
        following.turn()
    following.stop()
    append(log, lines(6, 7))
    following.limit_bytes = None
    following.stopping.clear()
    following.start()
    assert following.turn() == ids(1, 7)
    following.stop()
