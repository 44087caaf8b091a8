"""A store that lags behind its journal: what it holds in memory stays bounded, and all of it is loaded in the end."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from store.engine import Store
from store.frames import Batch
from tests.store.journals import ask, batch, observation, open_store, write_journal

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""


def frames(name: str, count: int) -> list[Batch]:
    """``count`` exports of three rows each, every one a frame of its own."""
    return [batch(f"{name} {at}", observations=[observation(at)] * 3) for at in range(count)]


def rows_of(store: Store) -> dict[str, Any]:
    return store.status()["rows"]["observations"]


def test_a_writers_journals_are_loaded_one_after_the_other(tmp_path: Path) -> None:
    """What lags has one journal of each writer in part; else all would be, and none could be sealed."""
    for name in ("a-1", "a-2", "a-3", "b-1"):
        write_journal(tmp_path / "journal", name, frames(name, 2))
    store = open_store(tmp_path, tick_bytes=1)
    begun = []
    store.step = lambda _: begun.append({slice_.journal for slice_ in store._slices.all()})
    assert store.poll_once(seal=False) == 24
    store.stop()
    assert begun[1] == begun[2] == {"a-1.journal", "b-1.journal"}
    assert [len(journals) for journals in begun] == [1, 2, 2, 3, 3, 3, 4, 4]


def test_what_waits_is_counted_whether_its_journal_was_opened_or_not(tmp_path: Path) -> None:
    """A start with a full journal says how much its answers lack."""
    for name in ("a-1", "a-2", "a-3"):
        write_journal(tmp_path / "journal", name, frames(name, 2))
    size = sum(path.stat().st_size for path in (tmp_path / "journal").iterdir())
    store = open_store(tmp_path, tick_bytes=1)
    assert store.status()["journal_bytes_waiting"] == size
    store._load_tick()
    assert 0 < store.status()["journal_bytes_waiting"] < size
    store.poll_once()
    assert store.status()["journal_bytes_waiting"] == 0
    store.stop()


def test_past_its_limit_of_rows_in_memory_the_loader_waits_for_the_sealer(tmp_path: Path) -> None:
    """While a seal takes its time hot rows stop growing; afterwards every row is there, and sealed."""
    store = open_store(tmp_path, hot_rows=5, tick_bytes=1)
    go_on, sealing = threading.Event(), threading.Event()

    def slow(step: str) -> None:
        if step == "before_commit":
            sealing.set()
            go_on.wait(30)

    store.step = slow
    for number in range(8):
        write_journal(tmp_path / "journal", f"a-{number}", frames(f"a-{number}", 2))
    store.start()
    try:
        assert sealing.wait(30)
        assert not go_on.wait(1.0)
        assert 6 <= rows_of(store)["hot"] <= 15
        go_on.set()
        deadline = time.monotonic() + 30
        while rows_of(store)["sealed"] < 48 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert rows_of(store) == {"hot": 0, "sealed": 48}
    finally:
        go_on.set()
        store.stop()


def test_a_segment_of_many_rows_keeps_the_order_they_came_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows are ordered by time; of many, which a sort would put on disk first, each is there all the same."""
    for limit, order in ((3, [0, 1, 2]), (2, [2, 0, 1])):
        monkeypatch.setattr("store.segments._SORTED_ROWS", limit)
        folder = tmp_path / str(limit)
        given = [observation(second, duration_us=second) for second in (2, 0, 1)]
        write_journal(folder / "journal", "a-1", [batch("1", observations=given)])
        store = open_store(folder)
        store.poll_once()
        [segment] = folder.glob("segments/observations/**/*.parquet")
        assert pq.read_table(segment)["duration_us"].to_pylist() == order
        assert ask(store, "SELECT count(*) FROM observations_raw") == [(3,)]
        store.stop()


def test_a_torn_journal_does_not_hold_up_its_writers_next(tmp_path: Path) -> None:
    """A writer whose disk was full for a moment goes on in a file of its own, which is loaded too."""
    write_journal(tmp_path / "journal", "a-1", frames("a-1", 1), tail=b"\x01" * 100)
    write_journal(tmp_path / "journal", "a-2", frames("a-2", 1))
    store = open_store(tmp_path)
    assert store.poll_once() == 6
    assert list((tmp_path / "journal").iterdir()) == []
    store.stop()


@pytest.mark.parametrize("is_started", [True, False])
def test_many_small_journals_are_opened_as_others_are_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_started: bool
) -> None:
    """Each takes megabytes of memory, whatever it holds: 300 that had waited for a store could never be loaded."""
    monkeypatch.setattr("store.engine._JOURNALS", 4)
    for number in range(11):
        write_journal(tmp_path / "journal", f"a-{number:02}", frames(f"a-{number}", 1))
    live = write_journal(tmp_path / "journal", "b-1", frames("b-1", 1), keep_open=True)
    store = open_store(tmp_path)
    open_at_once: list[int] = []
    store.step = lambda _: open_at_once.append(len(store._files))
    if is_started:
        store.start()
        deadline = time.monotonic() + 30
        while rows_of(store)["sealed"] < 33 or rows_of(store)["hot"] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    else:
        assert store.poll_once() == 36
    assert rows_of(store) == {"hot": 3, "sealed": 33}
    assert max(open_at_once) == 4
    store.stop()
    assert live is not None
    os.close(live)
