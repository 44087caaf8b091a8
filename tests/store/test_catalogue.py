"""The catalogue: versions, locks, and what is left when it is damaged."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from store.catalogue import MIGRATIONS
from store.database import Database
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", ["none", "wal flipped", "wal zeros", "file garbage", "file gone", "all gone"]
)
def test_a_damaged_catalogue_costs_nothing_that_is_sealed(tmp_path: Path, damage: str) -> None:
    """Whatever happens to the catalogue, the segments' rows are there once, and counted once."""
    _sealed_folder(tmp_path)
    catalogue, wal = tmp_path / "catalogue.duckdb", tmp_path / "catalogue.duckdb.wal"
    assert wal.exists()
    if damage == "wal flipped":
        raw = bytearray(wal.read_bytes())
        raw[len(raw) // 2 : len(raw) // 2 + 16] = bytes(255 - byte for byte in raw[len(raw) // 2 :][:16])
        wal.write_bytes(raw)
    elif damage == "wal zeros":
        wal.write_bytes(wal.read_bytes() + bytes(4096))
    elif damage == "file garbage":
        catalogue.write_bytes(b"\0" * 8192)
    elif damage == "file gone":
        catalogue.unlink()
    elif damage == "all gone":
        for path in (catalogue, wal, tmp_path / "sidelight.duckdb"):
            path.unlink()
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(store, COUNTS) == [(4, 1, 4, 4)]
    set_aside = list(tmp_path.glob("*.corrupt.*"))
    assert bool(set_aside) == (damage in ("wal flipped", "wal zeros", "file garbage"))
    store.stop()


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
