"""``sidelight.duckdb``: any DuckDB reads it at any time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.journals import ask, batch, observation, open_store, write_journal

READ = """
import duckdb, json, sys
con = duckdb.connect(sys.argv[1], read_only=True)
print(json.dumps(con.execute(sys.argv[2]).fetchall(), default=str))
"""


def read(data_dir: Path, statement: str) -> list[list[object]]:
    """What a process that knows nothing of us reads from the published file."""
    command = [sys.executable, "-c", READ, str(data_dir / "sidelight.duckdb"), statement]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_anyone_reads_sealed_rows_while_the_store_is_open(tmp_path: Path) -> None:
    """Rows, peers, counts and the registry are in the file after each seal; the store keeps running."""
    store = open_store(tmp_path)
    for number in (1, 2):
        identity = {
            "time": None,
            "evidence": "als_node",
            "emitter": f"reviews-{number}.default",
            "address": "10.0.0.1",
        }
        rows = [observation(number, path=f"/{number}")]
        write_journal(
            tmp_path / "journal",
            f"c-{number}",
            [batch(str(number), observations=rows, identities=[identity])],
        )
        store.poll_once()
        counts = (
            "SELECT (SELECT count(*) FROM observations_raw), (SELECT count(*) FROM peers), "
            "(SELECT sum(bit_count(minutes))::BIGINT FROM activity), (SELECT count(*) FROM instances), "
            "(SELECT any_value(attributes['zone']) FROM observations_raw)"
        )
        assert read(tmp_path, counts) == [[number, 1, number, number, "zone-a"]]
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(2,)]
    store.stop()


def test_it_is_there_from_the_first_start(tmp_path: Path) -> None:
    """An empty store publishes an empty file: every relation is there, with its columns."""
    store = open_store(tmp_path)
    store.poll_once()
    names = {name for [name] in read(tmp_path, "SELECT table_name FROM information_schema.tables")}
    assert {
        "observations_raw",
        "spans_raw",
        "logs_raw",
        "metric_points_raw",
        "rejects_raw",
        "resources",
    } <= names
    assert {"peers", "activity", "instances", "edges_1m", "segments", "about"} <= names
    assert read(tmp_path, "SELECT count(*) FROM spans_raw") == [[0]]
    store.stop()


def test_every_table_and_column_is_described(tmp_path: Path) -> None:
    """Each relation and each column in the file has its sentence."""
    store = open_store(tmp_path)
    store.poll_once()
    nameless = read(
        tmp_path,
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL "
        "UNION ALL SELECT table_name, '' FROM duckdb_tables() WHERE comment IS NULL "
        "UNION ALL SELECT view_name, '' FROM duckdb_views() WHERE NOT internal AND comment IS NULL ORDER BY ALL",
    )
    assert nameless == []
    store.stop()


def test_what_a_killed_publishing_left_is_not_read(tmp_path: Path) -> None:
    """The log of a copy that was never finished does not reach the next one, whose template is kept."""
    store = open_store(tmp_path)
    store.poll_once()
    store.stop()
    left = store.settings.temporary / "publish" / "sidelight.duckdb.wal"
    left.write_bytes(b"half a log" * 100)
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=[observation(0)])])
    store = open_store(tmp_path)
    store.poll_once()
    assert read(tmp_path, "SELECT count(*) FROM observations_raw") == [[1]]
    store.stop()
