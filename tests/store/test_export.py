"""Export: a window's rows as files of anyone's, the same as SQL over the store says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from store.database import Database
from store.engine import Store
from store.export import FORMATS, TABLES, CannotExport, export_window
from store.query_types import Window
from tests.store.asked_store import asked_store
from tests.store.journals import NOON
from tests.store.test_jobs import quiet

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

FIRST_MINUTE = Window(NOON, NOON + timedelta(minutes=1))
HOUR = Window(NOON, NOON + timedelta(hours=1))
READ = """
import duckdb, json, sys
con = duckdb.connect(sys.argv[1], read_only=True)
print(json.dumps([con.execute(statement).fetchall() for statement in sys.argv[2:]], default=str))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Twelve requests in two minutes, each seen by both sides, and five spans; all sealed."""
    with asked_store(tmp_path_factory.mktemp("data")) as queries:
        yield queries._store


def exported(store: Store, out: Path, window: Window, format: str) -> dict[str, int]:
    return export_window(store.settings.data_dir, out, window, format, quiet)


def read(file: Path, *statements: str) -> list[Any]:
    """What a DuckDB that knows nothing of us reads there."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(file), *statements], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("format", FORMATS)
def test_the_windows_rows_are_those_of_sql(store: Store, tmp_path: Path, format: str) -> None:
    """From is included, to is not; the rollup by its minutes, the registry whole."""
    counts = exported(store, tmp_path / "out", FIRST_MINUTE, format)
    asked = {
        table: int(
            store.sql(
                f"SELECT count(*) AS n FROM {table} WHERE {'minute' if table == 'edges_1m' else 'time'} >= "
                "TIMESTAMP '2026-11-21 12:00:00' AND "
                f"{'minute' if table == 'edges_1m' else 'time'} < TIMESTAMP '2026-11-21 12:01:00'",
                "csv",
            ).split()[1]
        )
        for table in TABLES
        if table not in ("workloads", "peers")
    }
    assert {table: counts[table] for table in asked} == asked
    assert (counts["observations"], counts["requests"], counts["spans"]) == (10, 5, 5)
    assert (counts["workloads"], counts["peers"]) == (2, 2)


def test_parquet_files_hold_the_views_columns(store: Store, tmp_path: Path) -> None:
    """One file a table, names and maps as users know them, whole under its name."""
    exported(store, tmp_path / "out", HOUR, "parquet")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{one}.parquet" for one in TABLES
    )
    rows = pq.read_table(tmp_path / "out" / "requests.parquet").to_pylist()
    assert len(rows) == 12
    assert {row["destination_workload"] for row in rows} == {"reviews-v2"}
    assert [row["outcome"] for row in sorted(rows, key=lambda row: row["time"])].count("error") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_duckdb_file_is_described_and_needs_nothing_else(store: Store, tmp_path: Path) -> None:
    """Tables, not views; every table and column with its sentence; the rollup with its peers."""
    out = tmp_path / "hour.duckdb"
    exported(store, out, HOUR, "duckdb")
    tables, nameless, joined, comment = read(
        out,
        "SELECT table_name FROM duckdb_tables() ORDER BY 1",
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL "
        "UNION ALL SELECT table_name, '' FROM duckdb_tables() WHERE comment IS NULL",
        "SELECT sum(\"rows\")::INT FROM edges_1m JOIN peers USING (peer_key) WHERE reporter = 'source'",
        "SELECT comment FROM duckdb_tables() WHERE table_name = 'spans'",
    )
    assert [name for [name] in tables] == sorted(TABLES)
    assert nameless == []
    assert joined == [[12]]
    assert comment == [["Spans of proxies and applications, as received."]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hour.duckdb"]


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_overwritten(store: Store, tmp_path: Path, format: str) -> None:
    """Neither a file nor a folder with something in it; an empty folder is taken."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for taken in ("file", "full", "link"):
        with pytest.raises(CannotExport, match="is there already"):
            exported(store, tmp_path / taken, HOUR, format)
    (tmp_path / "empty").mkdir()
    assert exported(store, tmp_path / "empty", HOUR, format)["spans"] == 5


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_that_fails_leaves_nothing(store: Store, tmp_path: Path, format: str) -> None:
    """Here a segment is gone: a sentence, and no half a folder."""
    path = store.settings.data_dir / next(one.path for one in store.segments if one.table == "spans")
    path.rename(tmp_path / "away")
    try:
        with pytest.raises(CannotExport, match="sidelight store verify"):
            exported(store, tmp_path / "out", HOUR, format)
    finally:
        (tmp_path / "away").rename(path)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_bounded(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export's own database has a limit and a folder to spill to."""
    made: list[dict[str, Any]] = []

    class Watched(Database):
        def __init__(self, **given: Any) -> None:
            made.append(given)
            super().__init__(**given)

    monkeypatch.setattr("store.export.Database", Watched)
    exported(store, tmp_path / "out", HOUR, "parquet")
    assert [(one["memory_limit"], one["temporary"]) for one in made] == [("512MB", tmp_path / "out.tmp")]
