"""A disk that is full at any moment: what is there stays, what was being done is done when there is room again.

The kernel refuses to let any file of this process grow past a limit (``RLIMIT_FSIZE``): DuckDB, pyarrow and we meet it
in the very calls in which they meet a full disk.
"""

from __future__ import annotations

import contextlib
import re
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from collector.errors import JournalWriteFailed
from collector.journal import JournalWriter
from store.backup import write_backup
from store.database import Error, is_fatal
from store.engine import Store
from store.errors import StoreError
from store.frames import Batch
from tests.running_server import wait_for
from tests.store.journals import NOON, ask, batch, observation, open_store, row_segments, write_journal
from tests.store.test_sealing import EVERYTHING

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

LATER = NOON + timedelta(hours=2)
AN_AGE_LATER = NOON + timedelta(days=8)
COUNTED = 'SELECT sum("rows") FROM edges_1m'
ALL = (300, 300, 101, 300, 3)
KEPT = {"retired_kept_s": 0.0, "rows_kept_days": 7.0}


@contextlib.contextmanager
def files_cannot_grow_past(size: int) -> Iterator[None]:
    """Writes behind this byte of any file fail, in every thread."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def exports(journal: str) -> list[Batch]:
    """100 observations of as many callers, 100 spans of which one is a proxy's, and a log record."""
    spans = [
        {
            "time": NOON,
            "kind": "client",
            "is_proxy": row == 0,
            "url": "http://a/",
            "trace_id": bytes([row] * 16),
        }
        for row in range(100)
    ]
    callers = [
        observation(path=f"/{journal}/{row}", source_address=f"127.42.0.{row}:1") for row in range(100)
    ]
    return [
        batch(
            journal,
            resources=[{"attributes": [("service.name", "shop")]}],
            observations=callers,
            spans=spans,
            logs=[{"time": NOON, "body": "hello"}],
        )
    ]


def waiting(folder: Path) -> Store:
    """One journal is sealed, two wait."""
    store = sealed(folder, 1)
    for number in (1, 2):
        write_journal(folder / "journal", f"c-{number}", exports(f"j{number}"))
    return store


def sealed(folder: Path, journals: int = 3) -> Store:
    for number in range(journals):
        write_journal(folder / "journal", f"c-{number}", exports(f"j{number}"))
    store = open_store(folder, **KEPT)
    store.poll_once()
    return store


WORK: dict[str, tuple[Callable[[Path], Store], Callable[[Store], object], set[str]]] = {
    "loading, sealing, publishing": (
        waiting,
        Store.poll_once,
        {".parquet", "catalogue.duckdb.wal", "publish/sidelight.duckdb"},
    ),
    "merging": (
        sealed,
        lambda store: store.tidy(LATER),
        {".parquet", "catalogue.duckdb.wal", "catalogue.duckdb"},
    ),
    "dropping": (
        sealed,
        lambda store: store.tidy(AN_AGE_LATER),
        {"catalogue.duckdb.wal", "catalogue.duckdb"},
    ),
    "filters of traces": (sealed, lambda store: store.tidy(NOON), {"catalogue.duckdb.wal"}),
}
"""What is done, over what, and which files must have been refused in the course of the limits."""


def limits(folder: Path) -> list[int]:
    """Nothing can be written; segments can; the catalogue's log can; nearly all can."""
    segment = max(path.stat().st_size for path in folder.rglob("*.parquet"))
    log = (folder / "catalogue.duckdb.wal").stat().st_size
    assert segment + 5000 < log < 200_000
    return [0, segment + 5000, 250_000, 1 << 20]


@pytest.mark.slow
@pytest.mark.parametrize("what", WORK)
def test_a_disk_full_at_any_step_costs_nothing(tmp_path: Path, what: str) -> None:
    """Every file that is written meets the limit in turn: afterwards each row is there once, and counted once."""
    prepare, act, expected = WORK[what]
    store = sealed(tmp_path / "measured")
    tried = limits(tmp_path / "measured")
    store.stop()
    refused: set[str] = set()
    for limit in tried:
        folder = tmp_path / str(limit)
        store = prepare(folder)
        has_ended = False
        with files_cannot_grow_past(limit):
            try:
                act(store)
            except (Error, OSError, StoreError) as error:
                has_ended = is_fatal(error)
                refused |= {name for name in expected if re.search(rf"{re.escape(name)}\W", str(error))}
        if has_ended:  # its process would be started again
            store.stop()
            store = open_store(folder, **KEPT)
        store.poll_once()
        act(store)
        assert ask(store, EVERYTHING) == ([(0, 0, 101, 0, 0)] if what == "dropping" else [ALL]), limit
        assert ask(store, COUNTED) == [(303,)], limit
        assert list((folder / "journal").iterdir()) == []
        assert list(folder.rglob("*.unfinished")) == list(folder.glob("*.corrupt.*")) == []
        store.stop()
        again = open_store(folder, **KEPT)
        assert ask(again, COUNTED) == [(303,)], limit
        assert again.status()["adopted_rows"] == again.status()["quarantined_rows"] == 0
        again.stop()
    assert refused == expected


def test_a_store_starts_and_answers_on_a_full_disk_and_seals_by_itself_when_there_is_room(
    tmp_path: Path,
) -> None:
    """What was acknowledged is in the journal; nobody has to start it again."""
    waiting(tmp_path).stop()
    with files_cannot_grow_past(0):
        store = open_store(tmp_path, **KEPT)
        store.start()
        wait_for(lambda: store.status()["rows"]["logs"]["hot"] == 2, 30, "the journals are loaded")
        time.sleep(0.5)  # it tries to seal meanwhile
        assert ask(store, EVERYTHING) == [ALL]
        assert store.status()["rows"]["logs"] == {"hot": 2, "sealed": 1}
        assert not store.failed.is_set()
    wait_for(lambda: not list((tmp_path / "journal").iterdir()), 30, "all is sealed")
    assert ask(store, EVERYTHING) == [ALL]
    assert ask(store, COUNTED) == [(303,)]
    store.stop()


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 20_000, 1 << 20])
def test_a_backup_to_a_full_disk_fails_and_harms_nothing(tmp_path: Path, limit: int) -> None:
    """The store goes on; run again when there is room, the backup is whole."""
    store = sealed(tmp_path / "data")
    store.start()
    with files_cannot_grow_past(limit), pytest.raises((Error, OSError, StoreError)):
        write_backup(store, tmp_path / "backup", lambda *_: None)
    assert not store.failed.is_set()
    assert ask(store, EVERYTHING) == [ALL]
    assert write_backup(store, tmp_path / "backup", lambda *_: None)["rows"]["observations"] == 300
    store.stop()


def test_a_journal_on_a_full_disk_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """What was acknowledged before stays whole, what was refused is not there, what comes later is."""
    writer = JournalWriter(tmp_path / "journal", "a", disk_free_min_bytes=0)
    writer.append_sync(exports("before")[0])
    with files_cannot_grow_past(writer.usage_bytes() + 1000), pytest.raises(JournalWriteFailed):
        writer.append_sync(exports("refused")[0])
    writer.append_sync(exports("after")[0])
    writer.close()
    store = open_store(tmp_path, **KEPT)
    store.poll_once()
    answer = ask(store, "SELECT DISTINCT split_part(path, '/', 2) FROM observations_raw ORDER BY 1")
    assert answer == [("after",), ("before",)]
    assert store.status()["torn_bytes"] == store.status()["damaged_journal_bytes"] == 0
    store.stop()


def test_without_room_the_catalogues_file_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB gives up a file whose checkpoint fails: merged files stay until there is room, also over a restart."""
    store = sealed(tmp_path)
    nothing = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr("store.database.shutil.disk_usage", lambda _: nothing)
    store.tidy(LATER)
    assert len(row_segments(tmp_path)) == 12
    store.stop()
    again = open_store(tmp_path, **KEPT)
    assert ask(again, EVERYTHING) == [ALL]
    assert again.status()["adopted_rows"] == 0
    monkeypatch.undo()
    again.tidy(LATER)
    assert len(row_segments(tmp_path)) == 3
    assert ask(again, EVERYTHING) == [ALL]
    assert ask(again, COUNTED) == [(303,)]
    again.stop()
