"""``sidelight restore``: a backup → a new data folder that opens and answers the same numbers.

What must stay true: every byte was compared with its digest before the folder counts as one; an interrupted
restore leaves nothing that a server would take for data (all of it lies below ``restoring/`` until the end).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from store.backup_list import POSITIONS, BackupList, BadBackup, copy_durably, free_bytes, read_list
from store.catalogue import VERSION
from store.compaction import hour_of
from store.engine import Store
from store.errors import NewerStore, StoreError
from store.graph import rfc3339
from store.physical import ROW_TABLES
from store.seal_now import Tell
from store.segments import sync
from store.settings import StoreSettings

_WORK = "restoring"
_IGNORED = {"lock", "tmp", _WORK, "lost+found"}
"""What an empty target may hold: the lock its restorer holds, scratch, and what an interrupted restore left."""


class CannotRestore(StoreError):
    """The target is no place for a backup, or what was restored is not what was backed up."""


def restore_backup(folder: Path, data_dir: Path, tell: Tell) -> dict[str, Any]:
    """Make ``data_dir`` from the backup in ``folder``. Its lock is the caller's. Raises StoreError, OSError."""
    listed = read_list(folder)
    if listed.schema_version > VERSION:
        raise NewerStore(str(folder), listed.schema_version, VERSION)
    check_empty(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    if (free := free_bytes(data_dir)) < listed.bytes:
        raise CannotRestore(
            f"The backup has {listed.bytes:,} bytes and {data_dir} has room for {free:,}: "
            "make room, or restore into another folder."
        )
    work = data_dir / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        _copy(folder, work, listed, tell)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    _put_in_place(work, data_dir, listed)
    tell(listed.bytes, listed.bytes, "opening what was restored")
    return {"data_dir": str(data_dir), "created_at": listed.created_at, **_opened(data_dir, listed)}


def check_empty(data_dir: Path) -> None:
    """Raises CannotRestore unless nothing is there but an interrupted restore."""
    try:
        found = sorted(set(os.listdir(data_dir)) - _IGNORED)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotRestore(f"{data_dir} cannot be used: {error.strerror}.") from error
    if found:
        raise CannotRestore(
            f"{data_dir} is not empty (there is {found[0]}): a backup is restored into a new folder. "
            "Name another one with --data."
        )


def _copy(folder: Path, work: Path, listed: BackupList, tell: Tell) -> None:
    done = 0

    def copied(size: int) -> None:
        nonlocal done
        done += size
        tell(done, listed.bytes, "copying and checking")

    damaged = []
    for one in listed.files:
        try:
            found = copy_durably(folder / one.path, work, one.path, copied)
        except FileNotFoundError:
            found = None
        if found != one:
            damaged.append(one.path)
    if damaged:
        raise BadBackup(
            f"{len(damaged)} of the {len(listed.files)} files in {folder} are missing or damaged, the first: "
            f"{damaged[0]}. Nothing was restored; restore another backup, or see docs/operations.md for what is left "
            "of this one."
        )


def _put_in_place(work: Path, data_dir: Path, listed: BackupList) -> None:
    """The catalogue last: a folder with one is whole."""
    (work / "segments").mkdir(exist_ok=True)
    os.rename(work / "segments", data_dir / "segments")
    if listed.positions is not None:
        (data_dir / POSITIONS).parent.mkdir(exist_ok=True)
        os.rename(work / listed.positions, data_dir / POSITIONS)
        sync((data_dir / POSITIONS).parent)
    sync(data_dir)
    os.rename(work / listed.catalogue, data_dir / "catalogue.duckdb")
    work.rmdir()
    sync(data_dir)


def _opened(data_dir: Path, listed: BackupList) -> dict[str, Any]:
    """Open it once: what is published is made, and its rows are counted."""
    store = Store(StoreSettings(data_dir=data_dir))
    store.open()
    try:
        store.poll_once()
        segments = store.segments
        rows = {table: sum(one.rows for one in segments if one.table == table) for table in ROW_TABLES}
    finally:
        store.stop()
    if rows != {table: listed.rows.get(table, 0) for table in ROW_TABLES}:
        raise CannotRestore(
            f"{data_dir} holds {sum(rows.values()):,} rows where {sum(listed.rows.values()):,} were backed up: "
            "do not use it, and report this."
        )
    oldest = min((hour_of(one) for one in segments), default=None)
    return {
        "rows": rows,
        "files": len(listed.files),
        "bytes": listed.bytes,
        "oldest": None if oldest is None else rfc3339(oldest),
    }
