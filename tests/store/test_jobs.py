"""Sealing at once, compacting, reading everything, and how a job is told of."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from collector.journal import JournalWriter
from store.catalogue import Segment
from store.engine import Store
from store.errors import BadQuery
from store.frames import Batch, ExportMark
from store.jobs import Jobs, compact, verify
from store.journal_files import list_journals
from store.physical import ROLLUPS
from store.schema import REJECTS
from store.seal_now import NotSealed, seal_acknowledged
from store.stats import stats
from tests.store.journals import ask, batch, observation, open_store, write_journal
from tests.store.test_sealing import EVERYTHING, exports
from tests.store.test_upkeep import LATER, break_in_the_middle, files, segment

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""


def quiet(done: int, total: int, message: str) -> None:
    """Nobody looks."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Started, over three journals that are sealed, each with rows of three tables."""
    for number in range(3):
        write_journal(tmp_path / "journal", f"c-{number}", exports(f"j{number}", 1))
    opened = open_store(tmp_path)
    opened.poll_once()
    opened.start()
    yield opened
    opened.stop()


def a_reject(number: int) -> Batch:
    row = {"export": 0, "source": "test", "place": str(number), "reason": "why"}
    mark = ExportMark(f"{number:032x}", time.time_ns() // 1000, "test")
    return Batch([mark], {"rejects": pa.Table.from_pylist([row], REJECTS)})


def test_what_a_writer_was_told_is_stored_is_sealed_at_once(store: Store) -> None:
    """The files that collectors have open are finished and sealed; their writers go on in new ones."""
    writer = JournalWriter(store.settings.journal, "w")
    for number in range(5):
        writer.append_sync(a_reject(number))
    assert seal_acknowledged(store, quiet) == 1
    assert list_journals(store.settings.journal) == []
    assert sum(one.rows for one in store.segments if one.table == "rejects") == 5
    writer.append_sync(a_reject(6))
    assert seal_acknowledged(store, quiet) == 1
    writer.close()
    found = store.sql("SELECT count(*) AS n FROM rejects", "csv")
    assert found.split() == [b"n", b"6"]


def test_a_writer_that_does_not_finish_is_named(store: Store) -> None:
    """A hung process holds its file: the command ends with its name, and nothing is lost."""
    write_journal(
        store.settings.journal, "hung-1", [batch("9", observations=[observation()])], keep_open=True
    )
    with pytest.raises(NotSealed, match=r"1 journals .* the first: hung-1.journal"):
        seal_acknowledged(store, quiet, stuck_s=0.5)
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(7,)]


def test_compacting_seals_and_merges(store: Store) -> None:
    """What lies in the journal is sealed, then the hour's files become one for each table."""
    writer = JournalWriter(store.settings.journal, "w")
    writer.append_sync(a_reject(1))
    told: list[tuple[int, int, str]] = []
    result = compact(store, lambda *one: told.append(one), LATER)
    writer.close()
    assert (result["sealed_journals"], result["merged_segments"]) == (1, 9)
    assert ask(store, EVERYTHING) == [(6, 6, 2, 6, 3)]
    left = [one for one in store.segments if one.table not in ("rejects", *ROLLUPS)]
    assert sorted((one.table, one.rows) for one in left) == [("logs", 3), ("observations", 6), ("spans", 6)]
    assert told[-1] == (9, 9, "merging small segments")


def test_verify_reads_everything_and_counts_what_is_broken(store: Store) -> None:
    """A file whose size and footer are right is broken all the same; it is set aside once."""
    whole = verify(store, quiet)
    assert (whole["segments"], whole["rows"], whole["broken"]) == (9, 15, [])
    path = next(one for one in files(store.settings.data_dir) if "/spans/" in one)
    break_in_the_middle(store.settings.data_dir / path)
    told: list[tuple[int, int, str]] = []
    result = verify(store, lambda *one: told.append(one))
    assert (result["segments"], result["broken_segments"], result["broken_rows"]) == (9, 1, 2)
    assert [(one["path"], one["rows"]) for one in result["broken"]] == [(path, 2)]
    assert told[-1][:2] < (result["bytes"], result["bytes"])
    assert ask(store, EVERYTHING) == [(6, 6, 2, 4, 3)]
    again = verify(store, quiet)
    assert (again["segments"], again["broken_segments"]) == (8, 0)
    assert again["set_aside_before"] == {"segments": 1, "rows": 2}


def test_a_file_that_was_merged_while_it_was_to_be_read_is_not_broken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of a long reading grows old: what is no longer on it is not counted."""
    there, gone = store.segments, segment("gone", 5)

    def merged_meanwhile(_: Path, read: Segment, deep: bool) -> str | None:
        if read is not gone:
            return None
        store.segments = there
        return "it is gone"

    monkeypatch.setattr("store.jobs.why_broken", merged_meanwhile)
    store.segments = [gone, *there]
    result = verify(store, quiet)
    assert (result["segments"], result["broken_segments"], store.upkeep.broken) == (10, 0, {})


def test_a_start_counts_the_segments_that_are_gone(store: Store) -> None:
    """A file somebody removed is set aside like a broken one: counted, and no question fails."""
    folder = store.settings.data_dir
    store.stop()
    (folder / next(one for one in files(folder) if "/logs/" in one)).unlink()
    again = open_store(folder)
    assert (again.upkeep.counters["quarantined_segments"], again.upkeep.counters["quarantined_rows"]) == (
        1,
        1,
    )
    assert list(again.upkeep.broken.values()) == ["it is gone"]
    assert ask(again, EVERYTHING) == [(6, 6, 2, 6, 2)]
    again.stop()


def finished(jobs: Jobs) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while (job := jobs.current()) is None or job["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def test_a_job_is_told_of_until_the_next_begins(store: Store) -> None:
    """Its kind, how it ended, and what it came to."""
    jobs = Jobs(store)
    assert jobs.current() is None
    begun = jobs.start("verify", {})
    assert (begun["kind"], begun["number"]) == ("verify", 1)
    job = finished(jobs)
    assert (job["state"], job["result"]["segments"]) == ("done", 9)
    assert jobs.start("seal", {})["number"] == 2
    assert finished(jobs)["result"] == {"sealed_journals": 0}


def test_one_job_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one is refused in a sentence and may come when the first is done."""
    go_on = threading.Event()
    monkeypatch.setattr("store.jobs.verify", lambda store, tell: {"waited": go_on.wait(30)})
    jobs = Jobs(store)
    jobs.start("verify", {})
    with pytest.raises(BadQuery, match=r"under way already \(verify\)") as caught:
        jobs.start("compact", {})
    assert caught.value.code == "job_running"
    go_on.set()
    assert finished(jobs)["result"] == {"waited": True}
    jobs.start("seal", {})
    assert finished(jobs)["state"] == "done"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device", "/x/y"), "/x/y: No space left on device. Make room"),
        (NotSealed("The journal is stuck; look at it."), "The journal is stuck; look at it."),
        (ZeroDivisionError("no"), "It failed (ZeroDivisionError: no); the log says where."),
    ],
)
def test_a_job_that_fails_says_why(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    """In a sentence; the store and the next job are none the worse."""

    def fails(store: Store, tell: Any) -> dict[str, Any]:
        raise error

    monkeypatch.setattr("store.jobs.compact", fails)
    jobs = Jobs(store)
    jobs.start("compact", {})
    job = finished(jobs)
    assert (job["state"], job["result"]) == ("failed", None)
    assert job["message"].startswith(sentence)
    jobs.start("verify", {})
    assert finished(jobs)["state"] == "done"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("tidy", {}),
        ("backup", {}),
        ("backup", {"to": "here"}),
        ("backup", {"to": 3}),
        ("backup", {"to": "/a\0b"}),
    ],
)
def test_what_is_no_job_is_refused(store: Store, kind: str, options: dict[str, Any]) -> None:
    """Unknown kinds, and folders that no path from the root names."""
    with pytest.raises(BadQuery):
        Jobs(store).start(kind, options)


def test_stats_count_what_is_there(store: Store) -> None:
    """Per table: files, rows, bytes and times as sealed; what waits, what is kept, what was set aside."""
    fd = write_journal(store.settings.journal, "c-9", exports("j9", 1), keep_open=True)
    store.poll_once()
    found = stats(store)
    tables = {one["table"]: one for one in found["tables"]}
    on_disk = [path for path in store.settings.segments.rglob("*.parquet") if "/spans/" in str(path)]
    assert tables["spans"]["bytes"] == sum(path.stat().st_size for path in on_disk)
    assert {name: tables["spans"][name] for name in ("segments", "rows", "unsealed_rows")} == {
        "segments": 3, "rows": 6, "unsealed_rows": 2,
    }  # fmt: skip
    assert tables["observations"]["earliest"] == "2026-11-21T12:00:01Z"
    assert (tables["metric_points"]["rows"], tables["metric_points"]["earliest"]) == (0, None)
    assert found["journal"]["files"] == 1
    assert found["journal"]["bytes"] == (store.settings.journal / "c-9.journal").stat().st_size
    assert found["journal"]["waiting_bytes"] == 0
    assert found["catalogue"]["rollup_rows"] == ask(store, "SELECT count(*) FROM edges_1m")[0][0] > 0
    assert found["kept"] == {"rows_days": 7, "rows_bytes": 20 << 30, "rollups_days": 90}
    assert found["quarantine"] == {"files": 0, "bytes": 0}
    assert found["since_start"]["sealed_journals"] == 3
    assert fd is not None


def test_stats_of_a_folder_at_rest_say_what_waits(tmp_path: Path) -> None:
    """Nothing is loaded to answer."""
    write_journal(tmp_path / "journal", "c-1", exports("j1", 1))
    size = (tmp_path / "journal" / "c-1.journal").stat().st_size
    opened = open_store(tmp_path)
    found = stats(opened)
    opened.stop()
    assert found["journal"] == {"files": 1, "bytes": size, "waiting_bytes": size}
    assert (tmp_path / "journal" / "c-1.journal").exists()


def test_nothing_is_unlinked_while_somebody_copies(store: Store) -> None:
    """Merged files stay until the backup that listed them is done."""
    store.upkeep.keeps_retired = True
    later = LATER + timedelta(days=1)
    while store.tidy(LATER, once=True):
        pass
    store.tidy(later)
    assert len(files(store.settings.data_dir)) == 12
    store.upkeep.keeps_retired = False
    store.tidy(later)
    assert len(files(store.settings.data_dir)) == 3
