"""The clock of our machine jumps by an hour, ahead or back: nothing is lost, doubled, or dropped before its time.

By that clock exports are received, journals are begun (segments lie under that hour), hours are merged and rows grow
old. The rows' own times are the proxies' clocks'.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collector.journal import JournalWriter
from store.digests import DeliveredBook
from store.engine import Store
from tests.store.journals import (
    NOON,
    NOON_US,
    ask,
    batch,
    mark,
    observation,
    open_store,
    row_segments,
    write_journal,
)

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

HOUR_US = 3_600_000_000
HOUR = timedelta(hours=1)
ONCE = (
    'SELECT count(*), count(DISTINCT path), (SELECT sum("rows") FROM edges_1m), '
    '(SELECT count(DISTINCT (peer_key, "hour")) FROM activity) FROM observations_raw'
)


def us(moment: datetime) -> int:
    return NOON_US + (moment - NOON) // timedelta(microseconds=1)


def receive(store: Store, number: int, clock: datetime) -> None:
    """A journal of one export of three rows, received and sealed at ``clock``; its rows are of noon."""
    rows = [observation(row, path=f"/{number}/{row}") for row in range(3)]
    export = mark(f"export {number}", us(clock))
    write_journal(
        store.settings.journal, f"c-{number:03}", [batch(export, observations=rows)], created_us=us(clock)
    )
    store.poll_once()


def hours(folder: Path) -> list[str]:
    """The hour each segment lies under, and whether it is a merged one's."""
    found = row_segments(folder)
    return [path.parent.name[5:] + ("m" if path.name.startswith("hour-") else "") for path in found]


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
@pytest.mark.parametrize("meanwhile", ["hot", "sealed", "restarted"])
def test_an_export_sent_again_after_a_jump_is_known(tmp_path: Path, jump: timedelta, meanwhile: str) -> None:
    """Its answer was lost, the clock jumped, others came, and within the hour it comes again."""
    store = open_store(tmp_path)
    rows = [observation()]

    def arrives(name: str, export: str, clock: datetime) -> None:
        created_us = us(clock)
        batches = [batch(mark(export, created_us), observations=rows)]
        write_journal(tmp_path / "journal", name, batches, created_us=created_us)
        store.poll_once(seal=meanwhile != "hot")

    arrives("c-1", "the one", NOON)
    arrives("c-2", "another", NOON + jump)
    if meanwhile == "restarted":
        store.stop()
        store = open_store(tmp_path)
    arrives("c-3", "the one", NOON + jump + timedelta(minutes=59))
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(2,)]
    assert store.status()["repeated_exports"] == 1
    store.stop()


def test_a_clock_that_was_a_year_ahead_makes_nothing_be_forgotten(tmp_path: Path) -> None:
    """What is received afterwards is remembered for its hour like ever."""
    book = DeliveredBook(3600)
    for number, (text, at_us) in enumerate([("far", NOON_US + 365 * 24 * HOUR_US), ("now", NOON_US)]):
        book.keep(f"{number}.journal", [mark(text, at_us)])
        book.mark_sealed(f"{number}.journal")
    book.keep("2.journal", [mark("later", NOON_US + 1)])
    book.mark_sealed("2.journal")
    assert book.is_repeated(mark("now", NOON_US + HOUR_US))


def test_rows_received_around_a_jump_are_there_once_and_merged_in_time(tmp_path: Path) -> None:
    """Ahead and back again: they lie under the hours the clock showed, and each hour is merged when it is past."""
    store = open_store(tmp_path, retired_kept_s=0.0, rows_kept_days=7.0)
    for number, minutes in enumerate((10, 11, 72, 73, 14, 15)):
        receive(store, number, NOON + timedelta(minutes=minutes))
    assert ask(store, ONCE) == [(18, 18, 18, 1)]
    for now, expected in {
        NOON + timedelta(minutes=16): ["12"] * 4 + ["13"] * 2,
        NOON + timedelta(minutes=66): ["12m"] + ["13"] * 2,
        NOON + timedelta(minutes=126): ["12m", "13m"],
    }.items():
        store.tidy(now)
        assert hours(tmp_path) == expected
        assert ask(store, ONCE) == [(18, 18, 18, 1)]
    store.stop()


def test_an_hour_that_was_merged_too_early_takes_what_still_arrives(tmp_path: Path) -> None:
    """A clock that is an hour ahead merges the hour that goes on; back again, it is merged once more."""
    store = open_store(tmp_path, retired_kept_s=0.0, rows_kept_days=7.0)
    for number in range(2):
        receive(store, number, NOON + timedelta(minutes=number))
    store.tidy(NOON + timedelta(minutes=10) + HOUR)
    assert hours(tmp_path) == ["12m"]
    for number in range(2, 4):
        receive(store, number, NOON + timedelta(minutes=10 + number))
    store.tidy(NOON + timedelta(minutes=20))
    assert hours(tmp_path) == ["12", "12", "12m"]
    store.stop()
    store = open_store(tmp_path, retired_kept_s=0.0, rows_kept_days=7.0)
    store.tidy(NOON + 2 * HOUR)
    assert hours(tmp_path) == ["12m"]
    assert ask(store, ONCE) == [(12, 12, 12, 1)]
    store.stop()


def test_a_clock_that_is_ahead_drops_rows_an_hour_early_and_no_more(tmp_path: Path) -> None:
    """Their counts stay."""
    store = open_store(tmp_path, retired_kept_s=0.0, rows_kept_days=1.0)
    receive(store, 0, NOON + timedelta(minutes=10))
    store.tidy(NOON + timedelta(days=1, minutes=-1) + HOUR)
    assert hours(tmp_path) == ["12"]
    store.tidy(NOON + timedelta(days=1) + HOUR)
    assert hours(tmp_path) == []
    assert ask(store, 'SELECT sum("rows") FROM edges_1m') == [(3,)]
    store.stop()


def test_a_clock_that_goes_back_leaves_rows_in_an_hour_to_come_that_is_dropped_when_it_is_past(
    tmp_path: Path,
) -> None:
    """Too many bytes or not: what may still arrive is never dropped."""
    store = open_store(tmp_path, retired_kept_s=0.0, rows_kept_days=7.0, rows_kept_bytes=1)
    receive(store, 0, NOON + timedelta(minutes=10))
    store.tidy(NOON + timedelta(minutes=10) - HOUR)
    assert hours(tmp_path) == ["12"]
    store.tidy(NOON + HOUR)
    assert hours(tmp_path) == []
    store.stop()


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_how_far_the_store_is_behind_does_not_jump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    """It is measured by a clock that nobody sets."""
    store = open_store(tmp_path)
    store.poll_once()
    now = time.time
    monkeypatch.setattr("time.time", lambda: now() + jump_s)
    assert 0 <= store.status()["lag_s"] < 60
    store.stop()


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_writer_goes_on_in_its_file_when_the_clock_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    """It is finished after its minute, neither at once nor in an hour, and the next has another name."""
    writer = JournalWriter(tmp_path / "journal", "a", rotate_seconds=1.0, disk_free_min_bytes=0)
    rows = [observation()]
    writer.append_sync(batch("1", observations=rows))
    now, now_ns = time.time, time.time_ns
    monkeypatch.setattr("time.time", lambda: now() + jump_s)
    monkeypatch.setattr("time.time_ns", lambda: now_ns() + jump_s * 1_000_000_000)
    writer.append_sync(batch("2", observations=rows))
    assert len(writer.names) == 1
    time.sleep(1.2)
    writer.append_sync(batch("3", observations=rows))
    writer.close()
    assert len(set(writer.names)) == 2
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(3,)]
    assert list((tmp_path / "journal").iterdir()) == []
    store.stop()
