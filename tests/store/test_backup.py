"""Backup and restore: one moment, cheap to repeat, never half, and the same answers afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.journal import JournalWriter
from store import backup, backup_list
from store.backup import _CATALOGUE_TABLES, BackupFailed, check_target, write_backup
from store.backup_list import BadBackup, read_list
from store.engine import Store
from store.errors import BadQuery, NewerStore
from store.queries import Queries
from store.query_types import GraphQuery
from store.restore import CannotRestore, restore_backup
from tests.store.asked_store import WINDOW, asked_store
from tests.store.journals import ask, batch, give_template, mark, observation, open_store, write_journal
from tests.store.test_jobs import quiet
from tests.store.test_sealing import EVERYTHING, exports
from tests.store.test_upkeep import LATER

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

IMPORTED = mark("a file", source="import")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Started: two journals sealed, one waiting to be; the first export is an import's."""
    folder = tmp_path / "data"
    write_journal(folder / "journal", "c-0", [batch(IMPORTED, observations=[observation(5)])])
    write_journal(folder / "journal", "c-1", exports("j1", 1))
    opened = open_store(folder)
    opened.poll_once()
    write_journal(folder / "journal", "c-2", exports("j2", 1))
    opened.start()
    yield opened
    opened.stop()


def back_up(store: Store, folder: Path) -> dict[str, Any]:
    return write_backup(store, check_target(folder, store.settings), quiet)


def restored(folder: Path, data_dir: Path) -> Store:
    give_template(data_dir)
    restore_backup(folder, data_dir, quiet)
    return open_store(data_dir)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_table_of_the_catalogue_is_in_it(store: Store) -> None:
    """But the list of files that nothing needs: a table added later is not forgotten here."""
    listed = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'catalogue'"
    with store.reader() as cursor:
        tables = {name for (name,) in cursor.execute(listed).fetchall()}
    assert tables - {"retired"} == set(_CATALOGUE_TABLES)


def test_what_was_acknowledged_before_is_in_it_and_opens_again(store: Store, tmp_path: Path) -> None:
    """Sealed or still in the journal: the restored folder counts the same rows."""
    result = back_up(store, tmp_path / "b")
    expected = ask(store, EVERYTHING)
    assert expected == [(5, 5, 2, 4, 2)]
    assert result["rows"] == {"observations": 5, "spans": 4, "logs": 2, "metric_points": 0, "rejects": 0}
    assert result["copied_segments"] == 7
    again = restored(tmp_path / "b", tmp_path / "new")
    assert ask(again, EVERYTHING) == expected
    assert ask(again, 'SELECT sum("rows") FROM edges_1m') == ask(store, 'SELECT sum("rows") FROM edges_1m')
    assert (tmp_path / "new" / "sidelight.duckdb").exists()
    again.stop()


def test_what_was_delivered_before_the_backup_is_known_after_it(store: Store, tmp_path: Path) -> None:
    """An import or an export that is repeated adds nothing to the restored folder either."""
    back_up(store, tmp_path / "b")
    again = restored(tmp_path / "b", tmp_path / "new")
    assert again.known_imports([IMPORTED.digest]) == {IMPORTED.digest}
    repeated = [batch(IMPORTED, observations=[observation(5)]), *exports("j2", 1)]
    write_journal(tmp_path / "new" / "journal", "c-7", repeated)
    again.poll_once()
    assert ask(again, EVERYTHING) == [(5, 5, 2, 4, 2)]
    again.stop()


def test_the_restored_folder_draws_the_same_graph(tmp_path: Path) -> None:
    """Nodes with their names, edges and percentiles: the registry is in the backup too."""
    with asked_store(tmp_path / "data") as queries:
        store = queries._store
        store.start()
        back_up(store, tmp_path / "b")
        expected = queries.graph(GraphQuery.from_params(WINDOW))
    assert expected["edges"]
    again = restored(tmp_path / "b", tmp_path / "new")
    assert Queries(again).graph(GraphQuery.from_params(WINDOW)) == expected
    again.stop()


def test_a_second_backup_copies_what_is_new(store: Store, tmp_path: Path) -> None:
    """Segments that are there already stay; what was merged away since is removed."""
    back_up(store, tmp_path / "b")
    inodes = {name: (tmp_path / "b" / name).stat().st_ino for name in names(tmp_path / "b")}
    write_journal(store.settings.journal, "c-3", [batch("3", observations=[observation(9)])])
    result = back_up(store, tmp_path / "b")
    assert (result["copied_segments"], result["kept_segments"]) == (1, 7)
    kept = [name for name in names(tmp_path / "b") if name.startswith("segments/") and "c-3" not in name]
    assert all((tmp_path / "b" / name).stat().st_ino == inodes[name] for name in kept)
    store.tidy(LATER)
    result = back_up(store, tmp_path / "b")
    assert (result["copied_segments"], result["kept_segments"]) == (5, 0)  # merged rows, and the past rollup
    assert set(names(tmp_path / "b")) == {
        "backup.json",
        *(one.path for one in read_list(tmp_path / "b").files),
    }
    again = restored(tmp_path / "b", tmp_path / "new")
    assert ask(again, EVERYTHING) == ask(store, EVERYTHING)
    again.stop()


def test_a_file_that_was_cut_short_in_the_backup_is_copied_again(store: Store, tmp_path: Path) -> None:
    """What has another size than listed is not taken for a copy."""
    back_up(store, tmp_path / "b")
    name = next(name for name in names(tmp_path / "b") if name.startswith("segments/"))
    os.truncate(tmp_path / "b" / name, 10)
    assert back_up(store, tmp_path / "b")["copied_segments"] == 1
    restored(tmp_path / "b", tmp_path / "new").stop()


class Died(Exception):
    """In the middle of it."""


@pytest.mark.slow
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("nth", [1, 3, 8])
def test_an_interrupted_backup_is_none_and_costs_none(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int, is_first: bool
) -> None:
    """A first one cannot be restored; a later one leaves the one before whole. Run again, it is finished."""
    if not is_first:
        back_up(store, tmp_path / "b")
        store.tidy(LATER)
        write_journal(store.settings.journal, "c-4", exports("j4", 3))
    real, left = backup_list.sync, [nth]

    def dies(path: Path) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Died
        real(path)

    with monkeypatch.context() as patched:
        for module in (backup, backup_list):
            patched.setattr(module, "sync", dies)
        with pytest.raises(Died):
            back_up(store, tmp_path / "b")
    assert store.upkeep.keeps_retired is False
    if is_first:
        with pytest.raises(BadBackup, match=r"no finished backup: there is no backup\.json"):
            restore_backup(tmp_path / "b", tmp_path / "none", quiet)
        assert not (tmp_path / "none").exists()
    else:
        again = restored(tmp_path / "b", tmp_path / "old")
        assert ask(again, EVERYTHING) == [(5, 5, 2, 4, 2)]
        again.stop()
    back_up(store, tmp_path / "b")
    again = restored(tmp_path / "b", tmp_path / "new")
    assert ask(again, EVERYTHING) == ask(store, EVERYTHING)
    again.stop()
    assert set(names(tmp_path / "b")) == {
        "backup.json",
        *(one.path for one in read_list(tmp_path / "b").files),
    }


def test_the_backup_is_of_one_moment_whatever_is_merged_meanwhile(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments are merged and rows arrive while it copies: it holds what it listed, each row once."""
    real = backup._copy_segments

    def slowly(*given: Any) -> Any:
        write_journal(store.settings.journal, "c-5", exports("late", 1))
        store.poll_once()
        store.tidy(LATER)
        return real(*given)

    monkeypatch.setattr(backup, "_copy_segments", slowly)
    back_up(store, tmp_path / "b")
    assert ask(store, EVERYTHING) == [(7, 7, 2, 6, 3)]
    again = restored(tmp_path / "b", tmp_path / "new")
    assert ask(again, EVERYTHING) == [(5, 5, 2, 4, 2)]
    again.stop()


def test_a_segment_that_is_gone_stops_the_backup_with_a_sentence(store: Store, tmp_path: Path) -> None:
    """A backup that lacks rows without saying so would be worse than none."""
    store.poll_once(seal=True)
    (store.settings.data_dir / store.segments[0].path).unlink()
    with pytest.raises(BackupFailed, match="Run `sidelight store verify`"):
        back_up(store, tmp_path / "b")


def test_no_room_is_said_before_anything_is_copied(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the bytes that are needed and those that are free."""
    monkeypatch.setattr(backup, "free_bytes", lambda _: 1000)
    with pytest.raises(BackupFailed, match=r"[\d,]+ bytes have to be copied and .* has room for 1,000"):
        back_up(store, tmp_path / "b")
    assert not (tmp_path / "b" / "segments").exists()


def test_where_a_backup_may_be_written(store: Store, tmp_path: Path) -> None:
    """New, empty, or a backup of the same folder; nothing else is touched, whoever names it."""
    data = store.settings.data_dir
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("ten years")
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(data)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "backup.json").write_text('{"kind": "another program\'s"}')
    for good in ("new", "new/deeper", "empty"):
        assert check_target(tmp_path / good, store.settings) == tmp_path / good
    for bad in (".", "data", "data/segments/b", "full", "file", "file/below", "link", "link/b", "strange"):
        with pytest.raises(BadQuery) as caught:
            check_target(tmp_path / bad, store.settings)
        assert caught.value.code == "bad_folder"
    assert names(tmp_path / "full") == ["thesis.txt"]


def test_a_backup_of_another_folder_is_not_replaced(store: Store, tmp_path: Path) -> None:
    """Two servers that are told the same folder would remove each other's rows."""
    back_up(store, tmp_path / "b")
    other = open_store(tmp_path / "other")
    with pytest.raises(BadQuery, match="holds a backup of another folder"):
        check_target(tmp_path / "b", other.settings)
    other.stop()


def broken(folder: Path, how: str) -> None:
    listed = json.loads((folder / "backup.json").read_text())
    path = folder / listed["files"][1]["path"]
    if how == "a flipped bit":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "a missing file":
        path.unlink()
    elif how == "a cut file":
        os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("how", ["a flipped bit", "a missing file", "a cut file"])
def test_a_damaged_backup_is_refused_whole(store: Store, tmp_path: Path, how: str) -> None:
    """Every byte is compared with its digest; nothing of it is left in the target, which can be used again."""
    back_up(store, tmp_path / "b")
    shutil.copytree(tmp_path / "b", tmp_path / "good")
    broken(tmp_path / "b", how)
    with pytest.raises(
        BadBackup, match=r"1 of the 8 files in .* are missing or damaged, the first: segments/"
    ):
        restore_backup(tmp_path / "b", tmp_path / "new", quiet)
    assert names(tmp_path / "new") == []
    restored(tmp_path / "good", tmp_path / "new").stop()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "x"),
        ("format", 2),
        ("files", [{"path": "../../etc/passwd", "bytes": 1, "digest": "00"}]),
        ("files", [{"path": "/etc/passwd", "bytes": 1, "digest": "00"}]),
        ("files", [{"path": "segments/../../x.parquet", "bytes": 1, "digest": "00"}]),
        ("files", []),
        ("files", None),
        ("catalogue", "positions-20261121T120000000000Z"),
        ("rows", [1]),
    ],
)
def test_a_list_that_is_none_of_ours_is_refused(store: Store, tmp_path: Path, name: str, value: Any) -> None:
    """Whatever it names: no path in it leads out of its folder."""
    back_up(store, tmp_path / "b")
    path = tmp_path / "b" / "backup.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(BadBackup, match="is no list of a backup this Sidelight knows"):
        restore_backup(tmp_path / "b", tmp_path / "new", quiet)


def test_a_newer_sidelights_backup_is_refused(store: Store, tmp_path: Path) -> None:
    """In the words a newer folder gets, before anything is copied."""
    back_up(store, tmp_path / "b")
    path = tmp_path / "b" / "backup.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    with pytest.raises(NewerStore, match="schema 99"):
        restore_backup(tmp_path / "b", tmp_path / "new", quiet)


def test_a_backup_goes_into_a_new_folder_only(store: Store, tmp_path: Path) -> None:
    """What is there is never mixed with what comes; an interrupted restore is begun anew."""
    back_up(store, tmp_path / "b")
    with pytest.raises(CannotRestore, match="is not empty"):
        restore_backup(tmp_path / "b", store.settings.data_dir, quiet)
    left = tmp_path / "new" / "restoring" / "segments" / "half.parquet"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    again = restored(tmp_path / "b", tmp_path / "new")
    assert ask(again, EVERYTHING) == [(5, 5, 2, 4, 2)]
    again.stop()
    assert not (tmp_path / "new" / "restoring").exists()


def test_the_segments_of_a_damaged_backup_still_make_a_folder(store: Store, tmp_path: Path) -> None:
    """As docs/operations.md says: copied alone, those that can be read are adopted and counted again."""
    back_up(store, tmp_path / "b")
    spans = next(name for name in names(tmp_path / "b") if "/spans/" in name)
    os.truncate(tmp_path / "b" / spans, 100)
    shutil.copytree(tmp_path / "b" / "segments", tmp_path / "new" / "segments")
    again = open_store(tmp_path / "new")
    assert ask(again, EVERYTHING) == [(5, 5, 2, 2, 2)]
    again.stop()


def test_how_far_followed_logs_were_read_is_in_it(store: Store, tmp_path: Path) -> None:
    """As it was before the rows were sealed: nothing that is counted as read is missing."""
    positions = store.settings.data_dir / "follow" / "positions"
    positions.parent.mkdir()
    positions.write_bytes(b"where we are\n")
    back_up(store, tmp_path / "b")
    positions.write_bytes(b"further on\n")
    restored(tmp_path / "b", tmp_path / "new").stop()
    assert (tmp_path / "new" / "follow" / "positions").read_bytes() == b"where we are\n"
    back_up(store, tmp_path / "b")
    restored(tmp_path / "b", tmp_path / "newer").stop()
    assert (tmp_path / "newer" / "follow" / "positions").read_bytes() == b"further on\n"


def test_what_is_acknowledged_meanwhile_is_in_the_next_one(store: Store, tmp_path: Path) -> None:
    """A writer never pauses: each backup has all that was acknowledged before it, each row once."""
    stopping = threading.Event()
    writer = JournalWriter(store.settings.journal, "w")
    acknowledged = [0]

    def arrive() -> None:
        while not stopping.wait(0.002):
            writer.append_sync(batch(f"w{acknowledged[0]}", observations=[observation()]))
            acknowledged[0] += 1

    arriving = threading.Thread(target=arrive)
    arriving.start()
    with contextlib.ExitStack() as stack:
        stack.callback(writer.close)
        stack.callback(arriving.join)
        stack.callback(stopping.set)
        for _ in range(3):
            before = acknowledged[0]
            rows = back_up(store, tmp_path / "b")["rows"]["observations"] - 5
            assert before <= rows <= acknowledged[0] + 1
    assert back_up(store, tmp_path / "b")["rows"]["observations"] == acknowledged[0] + 5
    again = restored(tmp_path / "b", tmp_path / "new")
    assert ask(again, "SELECT count(*) FROM observations_raw") == [(acknowledged[0] + 5,)]
    again.stop()
