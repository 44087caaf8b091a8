"""Merging small segments, dropping old ones: what readers see, what the disk holds, and a death at every step."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from store.catalogue import Segment
from store.compaction import mergeable, replaced_by
from store.database import Error
from store.engine import Store
from store.physical import ROLLUPS
from store.retention import expired
from store.settings import StoreSettings
from tests.store.dying_store import STATUS
from tests.store.journals import (
    NOON,
    ask,
    batch,
    give_template,
    mark,
    observation,
    open_store,
    row_segments,
    write_journal,
)
from tests.store.test_sealing import EVERYTHING, STEPS, exports

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

ROOT = Path(__file__).parent.parent.parent
LATER = NOON + timedelta(hours=2)
COUNTED = 'SELECT sum("rows") FROM edges_1m'
KEPT = {"rows_kept_days": 7.0, "retired_kept_s": 0.0}


def sealed(folder: Path, journals: int = 3, **settings: float) -> Store:
    """A store with ``journals`` journals of two observations, two spans and a log record each, all sealed."""
    for number in range(journals):
        write_journal(folder / "journal", f"c-{number}", exports(f"j{number}", 1))
    store = open_store(folder, **(KEPT | settings))
    store.poll_once()
    return store


def files(folder: Path) -> list[str]:
    """Segments of rows, not the rollup's (`test_rollup_files`)."""
    return [str(path.relative_to(folder)) for path in row_segments(folder)]


def test_small_segments_of_a_past_hour_become_one_file(tmp_path: Path) -> None:
    """One per table, with the same rows, segment by segment; the files they replace leave the disk."""
    store = sealed(tmp_path)
    before = ask(store, EVERYTHING)
    assert len(files(tmp_path)) == 9
    assert store.tidy(LATER) > 0
    assert ask(store, EVERYTHING) == before == [(6, 6, 2, 6, 3)]
    left = files(tmp_path)
    assert [Path(one).parts[1] for one in left] == ["logs", "observations", "spans"]
    assert all(Path(one).name.startswith("hour-") for one in left)
    paths = pq.read_table(tmp_path / left[1])["path"].to_pylist()
    assert [path.split("/")[1] for path in paths] == ["j0", "j0", "j1", "j1", "j2", "j2"]
    assert len(replaced_by(tmp_path / left[1])) == 3
    assert ask(store, COUNTED) == [(9,)]
    assert store.tidy(LATER) == 0
    store.stop()
    again = open_store(tmp_path)
    assert ask(again, EVERYTHING) == before
    again.stop()


def test_the_hour_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    """Rows still arrive in it; five minutes after its end they no longer do."""
    store = sealed(tmp_path)
    store.tidy(NOON + timedelta(minutes=64))
    assert len(files(tmp_path)) == 9
    store.tidy(NOON + timedelta(minutes=65))
    assert len(files(tmp_path)) == 3
    store.stop()


def test_a_reader_keeps_the_files_it_began_with(tmp_path: Path) -> None:
    """What was merged or dropped stays on the disk for a while, and is unlinked later."""
    store = sealed(tmp_path, retired_kept_s=600)
    with store.reader() as cursor:
        before = cursor.execute(EVERYTHING).fetchall()
        assert store.tidy(LATER) > 0
        assert cursor.execute(EVERYTHING).fetchall() == before
    assert len(files(tmp_path)) == 12
    assert store.tidy(LATER + timedelta(minutes=11)) > 0
    assert len(files(tmp_path)) == 3
    assert ask(store, EVERYTHING) == before
    store.stop()


def test_anyones_duckdb_reads_what_was_merged(tmp_path: Path) -> None:
    """``sidelight.duckdb`` lists the new files before the old ones go."""
    store = sealed(tmp_path)
    store.tidy(LATER)
    counted = store.sql("SELECT count(*) AS n FROM observations", "csv")
    assert counted.split() == [b"n", b"9"]  # six of observations, three of proxies' spans
    store.stop()


def break_in_the_middle(path: Path) -> None:
    """As many bytes as before, and a footer that can be read."""
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["bytes", "cut", "gone"])
def test_a_segment_that_cannot_be_read_is_set_aside(tmp_path: Path, how: str) -> None:
    """Its rows are lost and said so; its neighbours are merged, sealing and anyone's view go on."""
    store = sealed(tmp_path)
    path = tmp_path / next(one for one in files(tmp_path) if "/spans/" in one)
    if how == "bytes":
        break_in_the_middle(path)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.unlink()
    store.tidy(LATER)
    assert ask(store, EVERYTHING) == [(6, 6, 2, 4, 3)]
    status = store.status()
    assert (status["quarantined_segments"], status["quarantined_rows"]) == (1, 2)
    assert len(list((tmp_path / "quarantine").rglob("*.parquet"))) == (0 if how == "gone" else 1)
    assert len(files(tmp_path)) == 3
    store.stop()


def test_a_question_that_meets_a_broken_segment_has_it_set_aside(tmp_path: Path) -> None:
    """The question fails, whatever DuckDB says of it; the next one is answered from what is left."""
    store = sealed(tmp_path)
    break_in_the_middle(tmp_path / next(one for one in files(tmp_path) if "/spans/" in one))
    with pytest.raises(Error):
        ask(store, "SELECT count(DISTINCT name), max(trace_id), max(url) FROM spans_raw")
    store.tidy(NOON)
    assert ask(store, EVERYTHING) == [(6, 6, 2, 4, 3)]
    store.stop()


def test_a_start_sets_segments_of_another_size_aside(tmp_path: Path) -> None:
    """A file that was cut short while the store was down costs its own rows only."""
    store = sealed(tmp_path)
    store.stop()
    path = tmp_path / next(one for one in files(tmp_path) if "/logs/" in one)
    path.write_bytes(path.read_bytes()[:-1])
    store = open_store(tmp_path)
    assert ask(store, EVERYTHING) == [(6, 6, 2, 6, 2)]
    assert store.status()["quarantined_rows"] == 1
    store.stop()


def segment(name: str, rows: int, hour: int = 12, bytes: int = 100) -> Segment:
    path = f"segments/observations/date=2026-11-21/hour={hour:02}/{name}.parquet"
    return Segment("observations", path, f"{name}.journal", rows, bytes, NOON, NOON)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([10, 10, 10], "abc"),
        ([10], ""),
        ([300_000, 10, 300_000], ""),
        ([300_000, 10, 20], "bc"),
        ([240_000] * 5, "abcd"),
        ([249_999, 250_000], ""),
    ],
)
def test_which_segments_are_merged(rows: list[int], expected: str) -> None:
    """Neighbours of fewer than 250,000 rows, up to a million together; one alone is left."""
    listed = [segment(name, count) for name, count in zip("abcde", rows, strict=False)]
    group = mergeable(listed, LATER)
    assert "".join(Path(one.path).stem for one in group) == expected


def test_old_rows_go_by_age_and_then_by_size() -> None:
    """Whole hours of arrival, the oldest first; what still arrives is never dropped."""
    listed = [segment(f"h{hour}", 1, hour, bytes=100) for hour in (9, 10, 11, 12)]
    settings = {"data_dir": Path("."), "rows_kept_days": 1.0}

    def gone(now: datetime, **changed: float) -> list[str]:
        found = expired(listed, StoreSettings(**(settings | changed)), now)
        return [Path(one.path).stem for one in found]

    now = NOON + timedelta(minutes=30)
    assert gone(now) == []
    assert gone(now + timedelta(hours=23)) == ["h9", "h10"]
    assert gone(now, rows_kept_bytes=399) == ["h9"]
    assert gone(now, rows_kept_bytes=1) == ["h9", "h10", "h11"]


def test_dropped_rows_leave_the_disk_and_their_counts_stay(tmp_path: Path) -> None:
    """The files go, and the folders they lay in; counts per minute are kept for longer."""
    store = sealed(tmp_path, rollups_kept_days=30)
    assert store.tidy(NOON + timedelta(days=8)) > 0
    assert files(tmp_path) == []
    assert {path.parts[-3] for path in (tmp_path / "segments").rglob("hour=*")} == set(ROLLUPS)
    assert ask(store, EVERYTHING) == [(0, 0, 2, 0, 0)]
    assert ask(store, COUNTED) == [(9,)]
    status = store.status()
    assert (status["dropped_segments"], status["dropped_rows"]) == (9, 15)
    store.stop()


def test_counts_go_when_they_are_too_old_but_not_before_their_rows(tmp_path: Path) -> None:
    """Rows of last year that were imported today keep their minutes' counts."""
    store = sealed(tmp_path, rows_kept_days=60, rollups_kept_days=30)
    store.tidy(NOON + timedelta(days=31))
    assert ask(store, COUNTED) == [(9,)]
    store.stop()
    store = open_store(tmp_path, rows_kept_days=1, rollups_kept_days=30, retired_kept_s=0)
    store.tidy(NOON + timedelta(days=31))
    assert ask(store, COUNTED) == [(None,)]
    assert ask(store, "SELECT count(*) FROM activity") == [(0,)]
    store.stop()


UPKEEP_STEPS = [
    ("segment_written", 10),
    ("segment_renamed", 10),
    ("before_merge_commit", 1),
    ("before_merge_commit", 2),
    ("merged", 1),
    ("merged", 3),
    ("before_rollup_commit", 1),
    ("before_rollup_commit", 2),
    ("rolled_up", 1),
    ("segment_written", 14),
    ("segment_renamed", 13),
    ("before_roll_out_commit", 1),
    ("rolled_out", 1),
    ("before_drop_commit", 1),
    ("dropped", 1),
]


def test_the_deaths_are_at_every_step_there_is(tmp_path: Path) -> None:
    """A step without its death would be one nobody looked at."""
    store = sealed(tmp_path / "first", journals=0)
    seen: list[str] = []
    store.step = seen.append
    for number in range(2):
        write_journal(tmp_path / "first" / "journal", f"c-{number}", exports(f"j{number}", 1))
    store.poll_once()
    store.tidy(LATER)
    store.tidy(NOON + timedelta(days=8))
    store.stop()
    assert set(seen) == {name for name, _ in [*STEPS, *UPKEEP_STEPS]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "nth", "lost"),
    [
        *((*step, lost) for step in UPKEEP_STEPS for lost in ("nothing", "catalogue.duckdb")),
        ("before_merge_commit", 2, "catalogue.duckdb.wal"),
        ("merged", 3, "catalogue.duckdb.wal"),
        ("dropped", 1, "catalogue.duckdb.wal"),
    ],
)
def test_a_death_while_merging_or_dropping_loses_and_doubles_nothing(
    tmp_path: Path, step: str, nth: int, lost: str
) -> None:
    """Restarted, the store has every row once (or none of what was dropped), and goes on with what it began; also
    where the catalogue or its log is lost with it."""
    days = 8 if "drop" in step else 0
    at = LATER + timedelta(days=days)
    for number in range(3):
        write_journal(tmp_path / "journal", f"c-{number}", exports(f"j{number}", 1))
    give_template(tmp_path)
    kept = [f"{name}={value}" for name, value in KEPT.items()]
    command = [sys.executable, "-m", "tests.store.dying_store", str(tmp_path), step, str(nth), str(at), *kept]
    assert subprocess.run(command, cwd=ROOT).returncode == STATUS
    if lost != "nothing":
        (tmp_path / lost).write_bytes(b"\1" * 4096)
    store = open_store(tmp_path, **KEPT)
    expected = [(6, 6, 2, 6, 3)]
    assert ask(store, EVERYTHING) == (
        [(0, 0, 2, 0, 0)] if (step, lost) == ("dropped", "nothing") else expected
    )
    assert store.status()["quarantined_rows"] == 0
    store.tidy(at)
    assert ask(store, EVERYTHING) == ([(0, 0, 2, 0, 0)] if days else expected)
    assert ask(store, COUNTED) == [(9,)]
    assert len(files(tmp_path)) == (0 if days else 3)
    store.stop()


@pytest.mark.parametrize("is_unlinked", [True, False])
def test_a_lost_catalogue_is_rebuilt_from_merged_segments_too(tmp_path: Path, is_unlinked: bool) -> None:
    """Whether what they replace is still on the disk or not, each row is there once and counted once."""
    store = sealed(tmp_path, retired_kept_s=0 if is_unlinked else 600)
    store.tidy(LATER)
    assert len(files(tmp_path)) == (3 if is_unlinked else 12)
    store.stop()
    (tmp_path / "catalogue.duckdb").write_bytes(b"\0" * 4096)
    store = open_store(tmp_path)
    assert ask(store, EVERYTHING) == [(6, 6, 2, 6, 3)]
    assert ask(store, COUNTED) == [(9,)]
    store.stop()


def test_a_lost_catalogue_is_as_it_was_published(tmp_path: Path) -> None:
    """What only it knew is there again: counts of minutes whose rows are gone, and which those are; imports."""
    imported = batch(mark("imported", source="import"), observations=[observation(0)])
    write_journal(tmp_path / "journal", "c-0", [imported])
    store = open_store(tmp_path, **KEPT)
    store.poll_once()
    store.tidy(NOON + timedelta(days=8))
    assert files(tmp_path) == []
    write_journal(tmp_path / "journal", "c-1", [batch("new", observations=[observation(120)])])
    store.poll_once()
    counts = 'SELECT minute, "rows" FROM edges_1m ORDER BY minute'
    dropped = "SELECT minute FROM dropped_minutes"
    before = ask(store, counts), ask(store, dropped)
    assert [len(rows) for rows in before] == [2, 1]
    store.stop()
    (tmp_path / "catalogue.duckdb").write_bytes(b"\0" * 4096)
    write_journal(tmp_path / "journal", "c-2", [imported])
    again = open_store(tmp_path, **KEPT)
    again.poll_once()
    assert (ask(again, counts), ask(again, dropped)) == before
    assert ask(again, "SELECT count(*) FROM observations_raw") == [(1,)]
    assert (again.status()["damaged_catalogues"], again.status()["adopted_rows"]) == (1, 0)
    again.stop()


@pytest.mark.parametrize("kept_s", [0, 600])
def test_a_lost_catalogue_brings_no_dropped_file_back(tmp_path: Path, kept_s: int) -> None:
    """Files that were dropped or merged lie on the disk for a while; their rows are counted."""
    store = sealed(tmp_path, retired_kept_s=kept_s)
    store.tidy(LATER)
    for number in range(3, 5):
        write_journal(tmp_path / "journal", f"c-{number}", exports(f"j{number}", 1))
    store.poll_once()
    store.tidy(LATER)
    store.tidy(NOON + timedelta(days=8))
    assert bool(files(tmp_path)) == bool(kept_s)
    store.stop()
    (tmp_path / "catalogue.duckdb").write_bytes(b"\0" * 4096)
    again = open_store(tmp_path, **KEPT)
    assert ask(again, "SELECT count(*) FROM observations_raw") == [(0,)]
    assert ask(again, COUNTED) == [(15,)]
    again.stop()


def test_a_file_nobody_lists_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    """With the catalogue lost too: a page of one file is broken, the others are adopted, and the start goes on."""
    sealed(tmp_path).stop()
    for path in tmp_path.glob("*.duckdb*"):
        path.unlink()
    broken = tmp_path / next(name for name in files(tmp_path) if "observations" in name)
    raw = bytearray(broken.read_bytes())
    raw[4:400] = b"\xff" * 396
    broken.write_bytes(raw)
    half = tmp_path / next(name for name in files(tmp_path) if "spans" in name)
    half.write_bytes(half.read_bytes()[:-100])
    store = open_store(tmp_path, **KEPT)
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(4,)]
    assert ask(store, "SELECT count(*) FROM spans_raw") == [(4,)]
    assert ask(store, COUNTED) == [(6,)]
    quarantined = sorted(path.name for path in (tmp_path / "quarantine").rglob("*.parquet"))
    assert quarantined == sorted([broken.name, half.name])
    store.stop()


def test_rows_that_come_late_lie_where_they_arrived_and_are_found_by_time(tmp_path: Path) -> None:
    """A merged hour of arrival answers for the minutes its rows tell of."""
    for number, seconds in enumerate((0, -86_400)):
        write_journal(
            tmp_path / "journal", f"c-{number}", [batch(str(number), observations=[observation(seconds)])]
        )
    store = open_store(tmp_path, **KEPT)
    store.poll_once()
    store.tidy(LATER)
    assert len(files(tmp_path)) == 1
    yesterday = NOON - timedelta(days=1)
    assert ask(store, "SELECT count(*) FROM observations_raw", yesterday, NOON) == [(2,)]
    found = ask(store, "SELECT time FROM observations_raw WHERE time < '2026-11-21'", yesterday, NOON)
    assert found == [(yesterday,)]
    store.stop()
