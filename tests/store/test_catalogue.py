"""The catalogue: versions, locks, and what is left when it is damaged."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from store.catalogue import MIGRATIONS
from store.database import Database, Error
from store.errors import NewerStore, OlderStore, StoreLocked
from tests.store.dying_store import STATUS
from tests.store.journals import ask, batch, observation, open_store, write_journal
from tests.store.test_sealing import EVERYTHING

ROOT = Path(__file__).parent.parent.parent
COUNTS = (
    'SELECT (SELECT count(*) FROM observations_raw), (SELECT count(DISTINCT (peer_key, "hour")) FROM activity), '
    '(SELECT sum("rows") FROM edges_1m), (SELECT count(*) FROM observations_raw JOIN peers USING (peer_key))'
)


@pytest.mark.parametrize(
    ("version", "refusal", "words"),
    [("99", NewerStore, "newer Sidelight (schema 99,"), ("1", OlderStore, "older Sidelight (schema 1,")],
)
def test_another_versions_folder_is_refused_with_a_sentence(
    tmp_path: Path, version: str, refusal: type[Exception], words: str
) -> None:
    """A catalogue with a higher or lower schema version is left alone, and the message says what to do."""
    open_store(tmp_path).stop()
    database = Database(memory_limit="100MB", threads=1)
    database.attach(tmp_path / "catalogue.duckdb", "catalogue")
    database.cursor().execute("UPDATE catalogue.about SET value = ? WHERE key = 'schema_version'", [version])
    database.close()
    with pytest.raises(refusal, match=re.escape(words)):
        open_store(tmp_path)


OLD_FOLDERS = sorted((ROOT / "fixtures" / "folders").glob("*.tar.gz"))


@pytest.mark.parametrize("archive", OLD_FOLDERS, ids=lambda path: path.name)
def test_an_older_releases_folder_is_brought_to_ours_when_it_is_opened(tmp_path: Path, archive: Path) -> None:
    """What it had sealed and what it had not loaded yet is there once; opened again, nothing is left to do."""
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    for _ in range(2):
        store = open_store(folder)
        store.poll_once()
        assert ask(store, EVERYTHING) == [(18, 18, 2, 18, 9)]
        assert ask(store, COUNTS) == [(18, 2, 27, 18)]
        store.stop()


def test_every_older_schema_we_open_has_its_folder() -> None:
    """A migration without one would be untested."""
    assert {path.name for path in OLD_FOLDERS} == {f"schema-{version}.tar.gz" for version in MIGRATIONS}


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """A second process that opens the catalogue is told so, and harms nothing."""
    store = open_store(tmp_path)
    code = (
        "import sys; from pathlib import Path; from tests.store.journals import open_store\n"
        "from store.errors import StoreLocked\n"
        "try: open_store(Path(sys.argv[1]))\n"
        "except StoreLocked as error: print(error); sys.exit(3)"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert other.returncode == 3, other.stderr
    assert "open in another process" in other.stdout
    assert StoreLocked.__doc__
    store.stop()


def _sealed_folder(folder: Path) -> None:
    """Two sealed journals; the process died without a checkpoint, so the second lies in the WAL."""
    write_journal(folder / "journal", "c-1", [batch("1", observations=[observation(0), observation(1)])])
    open_store(folder).stop()
    store = open_store(folder)
    store.poll_once()
    store.stop()
    write_journal(folder / "journal", "c-2", [batch("2", observations=[observation(60), observation(61)])])
    command = [sys.executable, "-m", "tests.store.dying_store", str(folder), "journal_unlinked"]
    assert subprocess.run(command, cwd=ROOT).returncode == STATUS


def _damage(path: Path, how: str) -> None:
    """Bytes of the file as a bad disk or a lost write leaves them."""
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    if how == "torn":
        raw = raw[:middle]
    elif how == "zero-filled":
        raw[middle:] = bytes(len(raw) - middle)
    elif how == "zeros behind it":
        raw += bytes(4096)
    elif how == "bit flipped":
        raw[next(at for at in range(middle, 0, -1) if raw[at])] ^= 16
    elif how == "garbage":
        raw = bytearray(b"\0" * 8192)
    path.write_bytes(raw)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["intact", "gone", "torn", "zero-filled", "zeros behind it", "bit flipped"])
def test_a_damaged_log_of_the_catalogue_costs_nothing_that_is_sealed(tmp_path: Path, how: str) -> None:
    """The segments' rows are there once, and counted once; the file is used as it was before the log."""
    _sealed_folder(tmp_path)
    wal = tmp_path / "catalogue.duckdb.wal"
    if how == "gone":
        wal.unlink()
    else:
        _damage(wal, how)
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(store, COUNTS) == [(4, 1, 4, 4)]
    assert [path.name.split(".corrupt")[0] for path in tmp_path.glob("*.corrupt.*")] in ([], [wal.name])
    if how in ("zero-filled", "zeros behind it", "bit flipped"):
        assert store.status()["damaged_catalogues"] == 1
    store.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", ["gone", "gone with its log and sidelight.duckdb", "torn", "zero-filled", "garbage"]
)
def test_a_damaged_catalogue_is_set_aside_and_costs_nothing_that_is_sealed(tmp_path: Path, how: str) -> None:
    """The segments' rows are there once, and counted once; it says so, and goes on."""
    _sealed_folder(tmp_path)
    catalogue = tmp_path / "catalogue.duckdb"
    if how.startswith("gone"):
        for path in [catalogue, *([] if how == "gone" else tmp_path.glob("*.duckdb*"))]:
            path.unlink(missing_ok=True)
    else:
        _damage(catalogue, how)
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(store, COUNTS) == [(4, 1, 4, 4)]
    assert bool(list(tmp_path.glob("catalogue.duckdb.corrupt.*"))) == (not how.startswith("gone"))
    write_journal(tmp_path / "journal", "c-3", [batch("3", observations=[observation(70)])])
    store.poll_once()
    store.stop()
    again = open_store(tmp_path)
    assert ask(again, COUNTS) == [(5, 1, 5, 5)]
    assert again.status()["damaged_catalogues"] == 0
    again.stop()


_BLOCK = 262_144
_FIRST_BLOCK = 3 * 4096


@pytest.mark.slow
def test_a_flipped_bit_in_any_block_of_the_catalogue_is_met_at_the_start(tmp_path: Path) -> None:
    """DuckDB looks at a block's checksum when it reads it, not when it opens the file: a start reads what it needs."""
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=[observation(0), observation(1)])])
    store = open_store(tmp_path)
    store.poll_once()
    store.stop()
    catalogue = tmp_path / "catalogue.duckdb"
    raw = catalogue.read_bytes()
    for place in (10, 4096 + 20, 8192 + 20, *range(_FIRST_BLOCK + 100, len(raw), _BLOCK)):
        flipped = bytearray(raw)
        flipped[place] ^= 1
        catalogue.write_bytes(flipped)
        store = open_store(tmp_path)
        store.poll_once()
        assert ask(store, COUNTS) == [(2, 1, 2, 2)], place
        store.stop()
    assert (
        len(list(tmp_path.glob("catalogue.duckdb.corrupt.*"))) >= 5
    )  # what is free, or a second header, is no loss


@pytest.mark.slow
def test_a_block_of_counts_that_cannot_be_read_ends_the_store_and_the_next_start_mends_it(
    tmp_path: Path,
) -> None:
    """They may be large, so a start does not read them; who meets the broken block leaves word for the next one."""
    _sealed_folder(tmp_path)
    store = open_store(tmp_path)
    store.poll_once()
    with store.reader() as cursor:
        cursor.execute("ROLLBACK")
        cursor.execute(
            "INSERT INTO catalogue.activity SELECT TIMESTAMP '2026-11-21', hash(n), 1 FROM range(200000) r(n)"
        )
        cursor.execute("CHECKPOINT catalogue")
        (block,) = cursor.execute(
            "SELECT max(block_id) FROM pragma_storage_info('catalogue.activity') WHERE column_name = 'peer_key'"
        ).fetchall()[0]
    store.stop()
    catalogue = tmp_path / "catalogue.duckdb"
    raw = bytearray(catalogue.read_bytes())
    raw[_FIRST_BLOCK + block * _BLOCK + 1000] ^= 1
    catalogue.write_bytes(raw)
    store = open_store(tmp_path)
    assert store.status()["damaged_catalogues"] == 0
    with pytest.raises(Error, match="Corrupt database file"):
        ask(store, "SELECT count(DISTINCT peer_key) FROM activity")
    assert store.failed.is_set()
    store.stop()
    store = open_store(tmp_path)
    store.poll_once()
    assert store.status()["damaged_catalogues"] == 1
    assert ask(store, COUNTS) == [(4, 1, 4, 4)]
    store.stop()
    again = open_store(tmp_path)
    assert again.status()["damaged_catalogues"] == 0
    again.stop()


@pytest.mark.slow
def test_an_export_delivered_before_the_damage_is_still_known(tmp_path: Path) -> None:
    """The digests come back from the published file."""
    _sealed_folder(tmp_path)
    (tmp_path / "catalogue.duckdb").write_bytes(b"nothing")
    write_journal(tmp_path / "journal", "c-3", [batch("2", observations=[observation(60)])])
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(4,)]
    store.stop()
