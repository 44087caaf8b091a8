"""`sidelight store`, `backup`, `restore` and `export`, beside a running server under load and at rest."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from sidelight.data_folder import FolderLock
from store.settings import StoreSettings
from tests.running_server import Server, run_cli, running, wait_for
from tests.store.journals import batch, give_template, observation, write_journal
from tests.store.test_sealing import exports
from tests.store.test_upkeep import break_in_the_middle, files
from tests.test_kills import Sender

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

COUNTS = (
    "SELECT count(*) AS s, count(DISTINCT span_id) AS ds, (SELECT count(*) FROM logs) AS l, "
    "(SELECT count(DISTINCT body) FROM logs) AS dl FROM spans"
)


def said(*arguments: str | Path) -> str:
    """stdout of a command that succeeds."""
    done = run_cli(*map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments: str | Path) -> str:
    """stderr of a command that fails, one line."""
    done = run_cli(*map(str, arguments))
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1
    return done.stderr


def anyone_counts(data: Path) -> tuple[int, ...]:
    """(spans, distinct, logs, distinct) as a plain DuckDB reads `sidelight.duckdb`."""
    with duckdb.connect(str(data / "sidelight.duckdb"), read_only=True) as connection:
        return connection.execute(COUNTS).fetchall()[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose collectors finish no journal by themselves within these tests."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "settings.toml").write_text("[collector]\nrotate_s = 3600\n")
    with running(folder / "data", "--config", str(folder / "settings.toml")) as server:
        yield server


@pytest.mark.slow
def test_a_backup_under_load_has_every_acknowledged_export_once(served: Server, tmp_path: Path) -> None:
    """Twice, while three senders never stop; what was acknowledged before each is in it, and no row twice."""
    senders = [Sender(served, kind) for kind in ("grpc", "http", "logs")]
    for sender in senders:
        sender.start()
    bounds = []
    try:
        wait_for(lambda: all(sender.acknowledged > 100 for sender in senders), 60, "all are sending")
        for number in range(2):
            before = [sender.acknowledged for sender in senders]
            said("backup", tmp_path / "b", "--data", served.data)
            after = [sender.acknowledged for sender in senders]
            bounds.append((before, after))
            shutil.copytree(tmp_path / "b", tmp_path / f"b{number}")
    finally:
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join(30)
    for number, (before, after) in enumerate(bounds):
        out = said("restore", tmp_path / f"b{number}", "--data", tmp_path / f"new{number}")
        assert "every digest is right" in out
        spans, distinct_spans, logs, distinct_logs = anyone_counts(tmp_path / f"new{number}")
        assert (spans, logs) == (distinct_spans, distinct_logs)
        # What was sent and not yet answered may be in it too: seven records of each sender.
        assert before[0] + before[1] <= spans <= after[0] + after[1] + 14
        assert before[2] <= logs <= after[2] + 7
    assert bounds[1][0][0] > bounds[0][0][0]


@pytest.mark.slow
def test_compacting_seals_at_once_beside_a_server(served: Server) -> None:
    """What was acknowledged a moment ago is in the file that anyone reads."""
    sender = Sender(served, "logs")
    before = served.sql("SELECT count(*) AS n FROM logs")[0]["n"]
    sender.start()
    wait_for(lambda: sender.acknowledged >= 70, 60, "logs are sent")
    sender.stopping.set()
    sender.join(30)
    assert "journals sealed" in said("store", "compact", "--data", served.data)
    assert anyone_counts(served.data)[2] == before + sender.acknowledged
    assert list((served.data / "journal").glob("*.journal")) == []
    stats = json.loads(said("store", "stats", "--data", served.data))
    logs = next(table for table in stats["tables"] if table["table"] == "logs")
    assert (logs["rows"], logs["unsealed_rows"]) == (anyone_counts(served.data)[2], 0)
    assert served.get("/api/store/stats")["kept"] == stats["kept"]


@pytest.mark.slow
def test_an_export_beside_a_server_has_the_last_second(served: Server, tmp_path: Path) -> None:
    """It seals first; the rows are those that SQL counts."""
    sender = Sender(served, "grpc")
    sender.start()
    wait_for(lambda: sender.acknowledged >= 70, 60, "spans are sent")
    sender.stopping.set()
    sender.join(30)
    said("export", tmp_path / "out", "--window", "1h", "--data", served.data)
    rows = pq.read_metadata(tmp_path / "out" / "spans.parquet").num_rows
    assert rows == served.sql("SELECT count(*) AS n FROM spans")[0]["n"] >= 70


@pytest.mark.slow
def test_strangers_start_nothing_on_a_real_server(served: Server, tmp_path: Path) -> None:
    """The server needs no token here, and asks for the folder's own all the same."""
    body = json.dumps({"kind": "backup", "to": str(tmp_path / "b")}).encode()
    request = urllib.request.Request(
        served.url("/api/store/jobs"), body, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert caught.value.code == 403
    assert not (tmp_path / "b").exists()
    shut = tmp_path / "full"
    shut.mkdir()
    (shut / "mine").write_text("mine")
    assert "holds other things than a backup" in refused("backup", shut, "--data", served.data)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder nobody serves, with two journals not loaded yet."""
    folder = tmp_path / "data"
    give_template(folder)
    write_journal(folder / "journal", "c-0", [batch("0", observations=[observation(5)])])
    write_journal(folder / "journal", "c-1", exports("j1", 1))
    return folder


def test_at_rest_the_commands_do_the_same(data: Path, tmp_path: Path) -> None:
    """Compact, stats, backup, restore and export of a folder that no server owns."""
    assert said("store", "compact", "--data", data).startswith("2 journals sealed, ")
    stats = json.loads(said("store", "stats", "--data", data))
    assert {one["table"]: one["rows"] for one in stats["tables"]} == {
        "observations": 3, "spans": 2, "logs": 1, "metric_points": 0, "rejects": 0,
    }  # fmt: skip
    assert stats["journal"] == {"files": 0, "bytes": 0, "waiting_bytes": 0}
    table = said("store", "stats", "--data", data, "--format", "table")
    assert "observations" in table
    assert "kept:" in table
    assert "6 rows" in said("backup", tmp_path / "b", "--data", data)
    said("restore", tmp_path / "b", "--data", tmp_path / "new")
    window = ("--from", "2026-11-21T12:00:00Z", "--to", "2026-11-21T13:00:00Z", "--format", "duckdb")
    said("export", tmp_path / "out.duckdb", *window, "--data", tmp_path / "new")
    with duckdb.connect(str(tmp_path / "out.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM spans").fetchall() == [(2,)]


def test_at_rest_nothing_is_dropped(data: Path) -> None:
    """How long rows are kept is the server's setting: a command that does not know it removes nothing."""
    said("store", "compact", "--data", data)
    old = data / "segments" / "spans" / "date=2026-11-21"
    assert old.is_dir()
    settings = {"store": {"rows_kept_days": 0.001}}
    (data / "run").mkdir()
    (data / "run" / "settings.json").write_text(json.dumps(settings))
    said("store", "compact", "--data", data)
    stats = json.loads(said("store", "stats", "--data", data))
    assert sum(table["rows"] for table in stats["tables"]) == 6
    assert stats["kept"]["rows_days"] == 0.001


@pytest.mark.parametrize("how", ["bytes", "gone"])
def test_verify_says_in_numbers_what_is_broken(data: Path, how: str) -> None:
    """Exit status 1 and a sentence, also for what opening the folder finds; the next time all is well again."""
    said("store", "compact", "--data", data)
    assert "6 rows" in said("store", "verify", "--data", data)
    path = data / next(one for one in files(data) if "/spans/" in one)
    if how == "bytes":
        break_in_the_middle(path)
    else:
        path.unlink()
    done = run_cli("store", "verify", "--data", str(data))
    assert done.returncode == 1
    assert "1 segments with 2 rows are broken or gone" in done.stderr
    assert "4 rows" in said("store", "verify", "--data", data)


def test_what_cannot_be_done_is_a_sentence(data: Path, tmp_path: Path) -> None:
    """One line on stderr that says what to do, exit status 1."""
    for command in (("store", "stats"), ("store", "compact"), ("store", "verify"), ("backup", "b")):
        assert "There is no data folder" in refused(*command, "--data", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert "Say which time to export" in refused("export", tmp_path / "out", "--data", data)
    assert "is no time" in refused("export", tmp_path / "out", "--from", "noon", "--data", data)
    assert "holds no finished backup" in refused("restore", tmp_path, "--data", tmp_path / "new")
    assert "lie in one another" in refused("backup", data / "b", "--data", data)
    said("backup", tmp_path / "b", "--data", data)
    assert "is not empty" in refused("restore", tmp_path / "b", "--data", data)
    lock = FolderLock(data)
    assert "is in use by another sidelight" in refused("store", "compact", "--data", data)
    lock.release()
    assert StoreSettings(data_dir=data).published.exists()
