"""Hot → segments: what a seal leaves, what a reader sees meanwhile, and a death at every step."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from store.frames import Batch
from tests.store.dying_store import STATUS
from tests.store.journals import NOON, ask, batch, give_template, observation, open_store, write_journal
from tests.store.killed_store import kill_again_and_again

ROOT = Path(__file__).parent.parent.parent
EVERYTHING = (
    "SELECT (SELECT count(*) FROM observations_raw), (SELECT count(DISTINCT path) FROM observations_raw), "
    '(SELECT count(DISTINCT (peer_key, "hour")) FROM activity), (SELECT count(*) FROM spans_raw), '
    "(SELECT count(*) FROM logs_raw)"
)


def exports(journal: str, count: int = 3) -> list[Batch]:
    """``count`` exports of two observations, two spans (one a proxy's) and a log record each."""
    return [
        batch(
            f"{journal}-{number}",
            resources=[{"attributes": [("service.name", "shop")]}],
            observations=[observation(2 - row, path=f"/{journal}/{number}/{row}") for row in range(2)],
            spans=[
                {"time": NOON, "kind": "client", "is_proxy": row == 0, "url": "http://a/", "name": "a"}
                for row in range(2)
            ],
            logs=[{"time": NOON, "body": "hello"}],
        )
        for number in range(count)
    ]


def test_a_seal_moves_rows_and_leaves_no_trace(tmp_path: Path) -> None:
    """A finished journal becomes one segment per table, in order, and is gone."""
    write_journal(tmp_path / "journal", "c-1", exports("a"))
    store = open_store(tmp_path)
    store.poll_once(seal=False)
    before = ask(store, EVERYTHING)
    assert store.status()["rows"]["observations"] == {"hot": 6, "sealed": 0}
    assert store.seal(all=True) == 1
    assert ask(store, EVERYTHING) == before == [(6, 6, 2, 6, 3)]
    assert store.status()["rows"]["observations"] == {"hot": 0, "sealed": 6}
    paths = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet"))
    names = {"logs": "c-1.parquet", "observations": "c-1.packed.parquet", "spans": "c-1.parquet"}
    assert paths == [f"segments/{table}/date=2026-11-21/hour=12/{name}" for table, name in names.items()]
    for path in (paths[0], paths[2]):
        times = pq.read_table(tmp_path / path)["time"].to_pylist()
        assert times == sorted(times)
    assert list((tmp_path / "journal").iterdir()) == []
    with store.reader() as cursor:
        hot = cursor.execute("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'slice_%'")
        assert hot.fetchall() == []
    store.stop()


def test_an_open_file_is_not_sealed(tmp_path: Path) -> None:
    """A journal whose writer still holds it stays hot and stays on disk."""
    fd = write_journal(tmp_path / "journal", "c-1", exports("a"), keep_open=True)
    store = open_store(tmp_path)
    store.poll_once()
    assert store.seal(all=True) == 0
    assert fd is not None
    os.close(fd)
    store.poll_once()
    assert ask(store, EVERYTHING) == [(6, 6, 2, 6, 3)]
    assert list((tmp_path / "journal").iterdir()) == []
    store.stop()


def test_rollup_counts_what_was_sealed(tmp_path: Path) -> None:
    """edges_1m has one row per minute, peer and kind of answer; buckets are floor(ln(us) / ln(1.02))."""
    rows = [
        observation(0, duration_us=1000, attempts=1, tls="mutual", request_bytes=5),
        observation(1, duration_us=1001, attempts=3, tls="none", request_bytes=7),
        observation(2, duration_us=2000, status_code=503),
        observation(60, duration_us=None),
    ]
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=rows)])
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(
        store,
        'SELECT minute, status_code, details_class, "rows", duration_us_sum, latency, attempts, '
        "attempts_rows, tls, request_bytes, duration_rows FROM edges_1m ORDER BY ALL",
    ) == [
        (NOON, 200, "via_upstream", 1, 1000, {348: 1}, 1, 1, "mutual", 5, 1),
        (NOON, 200, "via_upstream", 1, 1001, {348: 1}, 3, 1, "none", 7, 1),
        (NOON, 503, "via_upstream", 1, 2000, {383: 1}, None, 0, None, None, 1),
        (NOON + timedelta(minutes=1), 200, "via_upstream", 1, None, None, None, 0, None, None, 0),
    ]
    store.stop()


@pytest.mark.slow
def test_a_reader_sees_every_row_once_while_journals_are_sealed(tmp_path: Path) -> None:
    """Rows and their counts agree in each reader, whatever is sealed and dropped meanwhile.

    A row is counted by the rollup or not sealed yet: never both, never neither.
    """
    once = (
        'SELECT (SELECT coalesce(sum("rows"), 0) FROM edges_1m) '
        "+ (SELECT count(*) FROM observations_unsealed) + (SELECT count(peer_key) FROM spans_unsealed)"
    )
    for number in range(6):
        write_journal(tmp_path / "journal", f"c-{number}", exports(f"j{number}", 1))
    store = open_store(tmp_path)
    store.poll_once(seal=False)
    sealing = threading.Thread(target=store.seal, kwargs={"all": True})
    expected = [(12, 12, 2, 12, 6)]
    counted = ask(store, once)
    assert counted[0][0] >= 12
    with store.reader() as long_reader:
        sealing.start()
        seen = [(ask(store, EVERYTHING), ask(store, once))]
        while sealing.is_alive():
            seen.append((ask(store, EVERYTHING), ask(store, once)))
        sealing.join()
        assert long_reader.execute(EVERYTHING).fetchall() == expected
        assert long_reader.execute(once).fetchall() == counted
    assert all(answer == (expected, counted) for answer in seen)
    assert ask(store, once) == counted
    assert ask(store, EVERYTHING) == expected
    store.stop()


def test_the_catalogues_wal_is_written_into_it_once_it_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB is told not to, so as to leave the hot rows alone: a start would read weeks of it again."""
    wal = tmp_path / "catalogue.duckdb.wal"
    write_journal(tmp_path / "journal", "c-1", exports("a"))
    write_journal(tmp_path / "journal", "c-2", exports("b"))
    store = open_store(tmp_path)
    store.poll_once(seal=False)
    assert store.seal(all=True) == 2
    assert wal.stat().st_size > 1000
    monkeypatch.setattr("store.database._WAL_BYTES", 1000)
    write_journal(tmp_path / "journal", "c-3", exports("c"))
    store.poll_once()
    assert not wal.exists() or wal.stat().st_size == 0
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(18,)]
    store.stop()


def test_only_the_windows_segments_are_read(tmp_path: Path) -> None:
    """A reader for a window opens no file and no slice that can hold neither a row of it nor of the minutes around
    (by which two clocks may differ)."""
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=[observation(0)])])
    write_journal(tmp_path / "journal", "c-2", [batch("2", observations=[observation(3600)])])
    store = open_store(tmp_path)
    store.poll_once()
    hour, around, second = timedelta(hours=1), timedelta(minutes=4), timedelta(seconds=1)
    for window, rows in {
        (NOON, NOON + hour - around): 1,
        (NOON, NOON + hour - around + second): 2,
        (NOON + around + second, NOON + hour - around): 0,
        (NOON - hour, NOON - around): 0,
    }.items():
        assert ask(store, "SELECT count(*) FROM observations_raw", *window) == [(rows,)], window
    store.stop()


STEPS = [
    ("loaded", 1),
    ("segment_written", 1),
    ("segment_renamed", 1),
    ("segment_renamed", 3),
    ("before_commit", 1),
    ("before_commit", 2),
    ("after_commit", 1),
    ("slice_dropped", 1),
    ("published_built", 1),
    ("published", 1),
    ("journal_unlinked", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "nth", "is_catalogue_lost"),
    [
        *((*step, False) for step in STEPS),
        *((name, 1, True) for name in ("after_commit", "published", "journal_unlinked")),
    ],
)
def test_a_death_at_any_step_loses_and_doubles_nothing(
    tmp_path: Path, step: str, nth: int, is_catalogue_lost: bool
) -> None:
    """A store that dies at a step of loading or sealing, restarted, has every row exactly once."""
    write_journal(tmp_path / "journal", "c-1", exports("a"))
    write_journal(tmp_path / "journal", "c-2", exports("b"))
    give_template(tmp_path)
    command = [sys.executable, "-m", "tests.store.dying_store", str(tmp_path), step, str(nth)]
    assert subprocess.run(command, cwd=ROOT).returncode == STATUS
    if is_catalogue_lost:
        (tmp_path / "catalogue.duckdb").write_bytes(b"\0" * 4096)
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(store, EVERYTHING) == [(12, 12, 2, 12, 6)]
    assert ask(store, 'SELECT sum("rows") FROM edges_1m') == [(18,)]
    assert list((tmp_path / "journal").iterdir()) == []
    assert list(tmp_path.rglob("*.unfinished")) == []
    assert len(list(tmp_path.rglob("*.parquet"))) == 6
    store.stop()


@pytest.mark.slow
def test_kills_at_random_instants_lose_and_double_nothing(tmp_path: Path) -> None:
    """Of a store that loads, seals, checkpoints and merges without a pause (`python -m bench --only kills`: 300)."""
    found = kill_again_and_again(tmp_path, range(8))
    assert set(found) == {found.written}
