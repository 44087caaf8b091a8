"""The rollup of past hours lies in segments: answers are the same, the catalogue stays small, a lost file is counted
again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from store.catalogue import Segment
from store.engine import Store
from store.physical import ROLLUPS
from tests.store.journals import NOON, ask, observation, open_store
from tests.store.test_merged_minutes import AFTER, HOUR, MIDNIGHT, add, answers, check_spans, filled, traffic

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

COUNTED = 'SELECT sum("rows")::bigint, count(DISTINCT minute) FROM edges_1m'


def rolled_out(store: Store) -> list[Segment]:
    return sorted((one for one in store.segments if one.table in ROLLUPS), key=lambda one: one.path)


def in_catalogue(store: Store) -> dict[str, int]:
    """How many counts the catalogue itself holds."""
    with store.database.cursor() as cursor:
        return {
            table: cursor.execute(f"SELECT count(*) FROM catalogue.{table}").fetchone()[0]
            for table in ROLLUPS
        }


@pytest.fixture(scope="module")
def early() -> list[dict[str, object]]:
    return traffic(1, 1500)


def test_past_hours_leave_the_catalogue_and_answers_stay(tmp_path: Path, early: list) -> None:
    """Two days at once, then what came late for them, then a restart: to the digit what the minutes said."""
    store = filled(tmp_path, early)
    before, counted = answers(store), ask(store, COUNTED)
    store.tidy(AFTER)
    assert in_catalogue(store) == dict.fromkeys(ROLLUPS, 0)
    assert {one.table for one in rolled_out(store)} == set(ROLLUPS)
    assert answers(store) == before
    assert ask(store, COUNTED) == counted
    check_spans(store)
    add(store, tmp_path, "late-1", traffic(2, 200), seal=True)
    with_late, late_counted = answers(store), ask(store, COUNTED)
    assert with_late != before
    files = len(rolled_out(store))
    store.tidy(AFTER + HOUR)
    assert len(rolled_out(store)) > files
    assert in_catalogue(store) == dict.fromkeys(ROLLUPS, 0)
    store.stop()
    store = open_store(tmp_path, rows_kept_days=60)
    assert (answers(store), ask(store, COUNTED)) == (with_late, late_counted)
    check_spans(store)
    assert (
        store.sql('SELECT sum("rows")::bigint AS n FROM edges_1m', "csv").split()[1]
        == b"%d" % late_counted[0][0]
    )
    store.stop()


def test_an_hour_leaves_the_catalogue_once_it_is_merged(tmp_path: Path) -> None:
    """Five minutes after its end, not before; the hour that goes on stays."""
    store = filled(tmp_path, [observation(60 * minute) for minute in range(0, 120, 7)])
    store.tidy(NOON + timedelta(minutes=64))
    assert rolled_out(store) == []
    store.tidy(NOON + timedelta(minutes=65))
    (minutes, merged) = rolled_out(store)
    assert (minutes.table, minutes.earliest) == ("edges_1m", NOON)
    assert minutes.latest == NOON + timedelta(minutes=57) - timedelta(microseconds=1)
    assert set(pq.read_table(tmp_path / merged.path)["span_minutes"].to_pylist()) == {10, 60}
    assert 0 < in_catalogue(store)["edges_1m"] < 10
    store.stop()


def test_the_files_of_a_past_day_become_one(tmp_path: Path, early: list) -> None:
    """A file an hour is many to open for a week."""
    store = filled(tmp_path, [])
    write_at = sorted(early, key=lambda row: row["time"])
    for hour in range(25):
        since = MIDNIGHT + hour * HOUR
        rows = [row for row in write_at if since <= row["time"] < since + HOUR]
        add(store, tmp_path, f"hour-{hour}", rows, seal=True)
        store.tidy(since + HOUR + timedelta(minutes=5))
    before = answers(store)
    first_day = [
        one for one in rolled_out(store) if "date=2026-11-21" in one.path and one.table == "edges_1m"
    ]
    assert len(first_day) == 1
    assert first_day[0].rows > 500
    assert len([one for one in rolled_out(store) if "date=2026-11-22" in one.path]) == 2
    store.stop()
    plain = filled(tmp_path / "plain", [row for row in write_at if row["time"] < MIDNIGHT + 25 * HOUR])
    assert answers(plain) == before
    plain.stop()


@pytest.mark.parametrize("table", ROLLUPS)
@pytest.mark.parametrize("how", ["bytes", "gone"])
def test_a_file_that_cannot_be_read_is_counted_again_from_the_rows(
    tmp_path: Path, early: list, table: str, how: str
) -> None:
    """Nothing is lost as long as there are rows: it is set aside, and every answer is what it was."""
    store = filled(tmp_path, early)
    store.tidy(AFTER)
    add(store, tmp_path, "late-1", traffic(2, 100), seal=True)
    store.tidy(AFTER + HOUR)
    before, counted = answers(store), ask(store, COUNTED)
    lost = max((one for one in rolled_out(store) if one.table == table), key=lambda one: one.rows)
    if how == "gone":
        (tmp_path / lost.path).unlink()
    else:
        content = bytearray((tmp_path / lost.path).read_bytes())
        content[4:200] = b"\xff" * 196
        (tmp_path / lost.path).write_bytes(content)
    store.upkeep.doubt(lost.path)
    store.tidy(AFTER + 2 * HOUR)
    assert lost.path in store.upkeep.broken
    assert ask(store, COUNTED) == counted
    assert answers(store) == before
    check_spans(store)
    store.stop()


def test_a_lost_catalogue_counts_the_rows_again(tmp_path: Path, early: list) -> None:
    """Without `sidelight.duckdb`, too: the rollup's files are set aside, and rows counted once."""
    store = filled(tmp_path, early)
    store.tidy(AFTER)
    counted, files = ask(store, COUNTED), len(rolled_out(store))
    store.stop()
    (tmp_path / "sidelight.duckdb").unlink()
    (tmp_path / "catalogue.duckdb").write_bytes(b"\0" * 4096)
    store = open_store(tmp_path, rows_kept_days=60)
    assert rolled_out(store) == []
    assert len(list((tmp_path / "quarantine").rglob("rollup-*.parquet"))) == files
    assert ask(store, COUNTED) == counted
    store.tidy(AFTER)
    assert ask(store, COUNTED) == counted
    check_spans(store)
    store.stop()


def test_a_lost_catalogue_is_as_it_was_published(tmp_path: Path, early: list) -> None:
    """With the files of the rollup, which count what rows no longer tell."""
    store = filled(tmp_path, early)
    store.tidy(AFTER)
    add(store, tmp_path, "late-1", traffic(2, 100), seal=True)
    before, files = answers(store), rolled_out(store)
    store.stop()
    (tmp_path / "catalogue.duckdb").write_bytes(b"\0" * 4096)
    store = open_store(tmp_path, rows_kept_days=60)
    assert rolled_out(store) == files
    assert list(tmp_path.rglob("quarantine/**/*.parquet")) == []
    assert answers(store) == before
    check_spans(store)
    store.stop()


def test_files_of_forgotten_days_leave_the_disk(tmp_path: Path, early: list) -> None:
    """By age, with everything else that was counted of the day; the next day's stay."""
    store = filled(tmp_path, early, rollups_kept_days=30)
    store.tidy(AFTER)
    assert rolled_out(store)
    store.stop()
    store = open_store(tmp_path, rows_kept_days=1, rollups_kept_days=30, retired_kept_s=0)
    store.tidy(AFTER + timedelta(days=29))
    assert ask(store, COUNTED)[0][0]
    store.stop()
    store = open_store(tmp_path, rows_kept_days=1, rollups_kept_days=30, retired_kept_s=0)
    store.tidy(AFTER + timedelta(days=31))
    assert list((tmp_path / "segments").rglob("*.parquet")) == []
    assert ask(store, "SELECT (SELECT count(*) FROM edges_1m), (SELECT count(*) FROM merged_minutes)") == [
        (0, 0)
    ]
    store.stop()
