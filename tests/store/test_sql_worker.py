"""Ad-hoc SQL: it sees everything, and can do nothing."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.errors import BadQuery
from store.sql_worker import SqlLimits, run_statement
from tests.store.journals import NOON_US, batch, mark, observation, open_store, write_journal

pytestmark = pytest.mark.slow  # each statement is a process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sealed journal and one open one; the open one repeats an export of the sealed one."""
    data_dir = tmp_path_factory.mktemp("data")
    write_journal(data_dir / "journal", "a", [batch("1", observations=[observation(0)])])
    store = open_store(data_dir)
    store.poll_once()
    store.stop()
    tail = [
        batch("2", observations=[observation(1, path="/tail")]),
        batch("1", observations=[observation(0)]),
    ]
    fd = write_journal(data_dir / "journal", "b", tail, keep_open=True)
    yield data_dir
    assert fd is not None
    os.close(fd)


def test_sealed_rows_and_the_tail_are_counted_once(folder: Path) -> None:
    """A row that is a second old is in the answer; what was delivered twice is in it once."""
    rows = json.loads(
        run_statement(
            folder,
            "SELECT time, path, attributes, (SELECT sum(bit_count(minutes))::BIGINT FROM activity) AS counted, "
            "(SELECT count(*) FROM peers) AS peers FROM observations_raw ORDER BY time",
        )
    )
    zone = {"zone": "zone-a"}
    assert rows == [
        {"time": "2026-11-21T12:00:00Z", "path": "/reviews/0", "attributes": zone, "counted": 2, "peers": 1},
        {"time": "2026-11-21T12:00:01Z", "path": "/tail", "attributes": zone, "counted": 2, "peers": 1},
    ]


def test_it_works_beside_a_running_store(folder: Path) -> None:
    """The worker opens no file that the store holds."""
    store = open_store(folder)
    assert json.loads(store.sql("SELECT count(*) AS n FROM observations_raw")) == [{"n": 2}]
    store.stop()


def test_it_works_before_anything_was_sealed(tmp_path: Path) -> None:
    """A journal alone, without catalogue and published file, can be asked."""
    write_journal(tmp_path / "journal", "a", [batch("1", observations=[observation(0)])])
    answer = run_statement(tmp_path, "SELECT count(*) AS n FROM observations_raw")
    assert json.loads(answer) == [{"n": 1}]


FORMATS = {
    "csv": lambda raw: raw.decode(),
    "arrow": lambda raw: pa.ipc.open_stream(raw).read_all().to_pydict(),
    "parquet": lambda raw: pq.read_table(io.BytesIO(raw)).to_pydict(),
    "json": json.loads,
}
ANSWERS = {
    "csv": 'a,b,c\n1,"x,y",\n',
    "arrow": {"a": [1], "b": ["x,y"], "c": [None]},
    "parquet": {"a": [1], "b": ["x,y"], "c": [None]},
    "json": [{"a": 1, "b": "x,y", "c": None}],
}


@pytest.mark.parametrize("format", FORMATS)
def test_formats(folder: Path, format: str) -> None:
    """The same table as CSV with a header row, Arrow stream, Parquet and JSON."""
    answer = run_statement(folder, "SELECT 1 AS a, 'x,y' AS b, NULL::INTEGER AS c", format)
    assert FORMATS[format](answer) == ANSWERS[format]


REFUSED = {
    "": "no_statement",
    "SELECT 1; SELECT 2": "many_statements",
    "SELEC 1": "bad_sql",
    "SELECT * FROM nothing_of_the_kind": "bad_sql",
    "CREATE TABLE x (i INTEGER)": "not_a_query",
    "DROP VIEW observations_raw": "not_a_query",
    "SET enable_external_access = true": "not_a_query",
    "ATTACH 'x.duckdb' AS x": "not_a_query",
    "COPY (SELECT 1) TO '{folder}/segments/x.parquet'": "not_a_query",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/segments/x.parquet'": "not_a_query",
    "/* EXPLAIN SELECT */ explain (analyze) COPY (SELECT 1) TO '{folder}/segments/x'": "not_a_query",
    "SELECT * FROM read_text('/etc/passwd')": "not_allowed",
    "SELECT * FROM read_blob('{folder}/catalogue.duckdb')": "not_allowed",
    "SELECT * FROM glob('/*')": "not_allowed",
    "SELECT * FROM 'http://127.0.0.1/x.parquet'": "not_allowed",
    "SELECT sum(a.range) FROM range(10000000) a, range(10000000) b": "too_slow",
    "SELECT * FROM range(2000)": "too_many_rows",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_refused(folder: Path, statement: str) -> None:
    """Nothing is written, no file outside is read, no limit is passed; each refusal has code and hint."""
    with pytest.raises(BadQuery) as refused:
        run_statement(
            folder, statement.replace("{folder}", str(folder)), limits=SqlLimits(time_s=2, rows=1000)
        )
    assert (refused.value.code, bool(refused.value.hint)) == (REFUSED[statement], True)
    assert list(folder.glob("segments/x*")) == []


def test_explain_describe_and_show_are_questions(folder: Path) -> None:
    """EXPLAIN of a SELECT, DESCRIBE and SHOW only read."""
    for statement in ("EXPLAIN SELECT 1", "DESCRIBE observations_raw", "SHOW TABLES", "FROM peers"):
        assert json.loads(run_statement(folder, statement))


def test_times_of_delivery_do_not_matter_to_the_worker(tmp_path: Path) -> None:
    """An export repeated in the tail after more than two hours is a new one, as the store sees it."""
    late = mark("1", NOON_US + 7_300_000_000)
    write_journal(tmp_path / "journal", "a", [batch("1", observations=[observation(0)])])
    write_journal(tmp_path / "journal", "b", [batch(late, observations=[observation(0)])])
    answer = run_statement(tmp_path, "SELECT count(*) AS n FROM observations_raw")
    assert json.loads(answer) == [{"n": 2}]


def test_many_small_journals_are_one_tail(tmp_path: Path) -> None:
    """What collectors that died early left costs a statement no more than one journal of that size."""
    for number in range(60):
        name = f"c-{number:03d}"
        write_journal(tmp_path / "journal", name, [batch(name, observations=[observation(number)])])
    answer = run_statement(tmp_path, "SELECT count(*) AS n, count(DISTINCT time) AS t FROM observations_raw")
    assert json.loads(answer) == [{"n": 60, "t": 60}]
    plan = run_statement(tmp_path, "EXPLAIN SELECT count(*) FROM observations_raw").decode()
    assert "UNION" not in plan


def test_a_killed_statement_leaves_nothing_for_long(tmp_path: Path) -> None:
    """The next store to open the folder removes what a killed worker kept; not what a living one uses."""
    dead, alive = (tmp_path / "tmp" / f"sql-{pid}" for pid in (4_194_305, os.getpid()))
    for folder in (dead, alive):
        folder.mkdir(parents=True)
        (folder / "sidelight.duckdb").touch()
    open_store(tmp_path).stop()
    assert not dead.exists()
    assert alive.exists()
