"""``sidelight backup``: the folder as it was at one moment, copied while everything goes on.

What must stay true: what was acknowledged before the backup began is in it, each row once. Segments never change, so
one transaction of the catalogue is the moment: the segments it lists, with the counts, names and digests of just
those. No listed segment is unlinked until it is copied. The backup before stays whole until the new list is in place.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.backup_list import (
    NAME,
    POSITIONS,
    BackupFile,
    BackupList,
    BadBackup,
    copy_durably,
    describe_file,
    free_bytes,
    read_list,
)
from store.catalogue import VERSION, Segment, read_segments, utc_now
from store.database import transaction
from store.errors import BadQuery, StoreError
from store.graph import rfc3339
from store.physical import ROW_TABLES
from store.seal_now import Tell, seal_acknowledged
from store.segments import sync
from store.settings import StoreSettings
from store.statements import sql

if TYPE_CHECKING:
    from store.engine import Store

MARKER = "backup-unfinished"
_SPARE_BYTES = 64 << 20

_CATALOGUE_TABLES = (
    "about", "segments", "sealed_journals", "delivered", "import_digests", "peers", "activity", "identity_facts",
    "stints", "resources_stored", "edges_1m", "edges_merged", "merged_minutes", "dropped_minutes", "series",
    "trace_filters",
)  # fmt: skip
"""All but `retired`: what those files held is in others."""


class BackupFailed(StoreError):
    """The backup could not be finished; the one before it in the folder is as it was."""


def check_target(folder: Path, settings: StoreSettings) -> Path:
    """``folder``, resolved, if a backup of ``settings.data_dir`` may be written there. Raises BadQuery."""
    data_dir = settings.data_dir.resolve()
    try:
        target = folder.resolve()
        if target == data_dir or target.is_relative_to(data_dir) or data_dir.is_relative_to(target):
            raise _refused(f"{target} and the data folder {data_dir} lie in one another.")
        nearest = next(path for path in (target, *target.parents) if path.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise _refused(f"{nearest} is no folder this server may write to.")
        if nearest != target:
            return target
        names = set(os.listdir(target)) - {"lost+found"}
    except OSError as error:
        raise _refused(f"{folder} cannot be used: {error.strerror}.") from error
    except RuntimeError:
        raise _refused(f"{folder} leads in a circle.") from None
    if NAME in names:
        try:
            before = read_list(target)
        except BadBackup as error:
            raise _refused(str(error)) from error
        if before.data_dir != str(data_dir):
            raise _refused(f"{target} holds a backup of another folder, {before.data_dir}.")
    elif names and MARKER not in names:
        raise _refused(f"{target} holds other things than a backup.")
    return target


def _refused(why: str) -> BadQuery:
    return BadQuery("bad_folder", why, "Name a folder that is empty, new, or a backup of this data folder.")


def write_backup(store: Store, target: Path, tell: Tell) -> dict[str, Any]:
    """Back ``store`` (started) up into ``target``, which ``check_target`` let pass. Raises StoreError, OSError."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    (target / MARKER).touch(mode=0o600)
    sync(target)
    before = _known(target)
    now = utc_now()
    stamp = f"{now:%Y%m%dT%H%M%S%f}Z"
    catalogue, positions = f"catalogue-{stamp}.duckdb", f"positions-{stamp}"
    store.upkeep.keeps_retired = True
    try:
        files = _copy_positions(store.settings, target, positions)
        seal_acknowledged(store, tell)
        tell(0, 0, "copying the catalogue")
        segments = _copy_catalogue(store, target / catalogue)
        files.append(describe_file(target, catalogue))
        kept = [before[one.path] for one in segments if _is_there(one, before)]
        missing = [one for one in segments if not _is_there(one, before)]
        copied = _copy_segments(store.settings, target, missing, tell)
    finally:
        store.upkeep.keeps_retired = False
    listed = BackupList(
        schema_version=VERSION,
        created_at=rfc3339(now),
        data_dir=str(store.settings.data_dir.resolve()),
        catalogue=catalogue,
        positions=positions if len(files) > 1 else None,
        rows={table: sum(one.rows for one in segments if one.table == table) for table in ROW_TABLES},
        files=[*files, *kept, *copied],
    )
    listed.write(target)
    _remove_unlisted(target, listed)
    (target / MARKER).unlink()
    sync(target)
    return {
        "folder": str(target),
        "created_at": listed.created_at,
        "rows": listed.rows,
        "files": len(listed.files),
        "bytes": listed.bytes,
        "copied_segments": len(copied),
        "copied_bytes": sum(one.bytes for one in copied),
        "kept_segments": len(kept),
    }


def _known(target: Path) -> dict[str, BackupFile]:
    """What the backup before left there whole, as far as sizes tell; restoring checks the digests."""
    try:
        listed = read_list(target).files
    except BadBackup:
        return {}
    known = {}
    for one in listed:
        with contextlib.suppress(OSError):
            if (target / one.path).stat().st_size == one.bytes:
                known[one.path] = one
    return known


def _is_there(segment: Segment, before: dict[str, BackupFile]) -> bool:
    return segment.path in before and before[segment.path].bytes == segment.bytes


def _copy_positions(settings: StoreSettings, target: Path, name: str) -> list[BackupFile]:
    """Before anything is sealed: whatever these positions count as read is in the journal by then."""
    source = settings.data_dir / POSITIONS
    return [copy_durably(source, target, name, lambda _: None)] if source.exists() else []


def _copy_catalogue(store: Store, path: Path) -> list[Segment]:
    """Write the catalogue as it is at one moment to ``path``, durably; the segments it lists."""
    store.database.attach(path, "backup")
    try:
        with contextlib.closing(store.database.cursor()) as cursor:
            with transaction(cursor):
                segments = read_segments(cursor)
                cursor.execute(sql("schema/catalogue", known="backup"))
                for table in _CATALOGUE_TABLES:
                    cursor.execute(f"INSERT INTO backup.{table} BY NAME FROM catalogue.{table}")
            cursor.execute("CHECKPOINT backup")
    finally:
        store.database.detach("backup")
    sync(path)
    sync(path.parent)
    return segments


def _copy_segments(
    settings: StoreSettings, target: Path, segments: list[Segment], tell: Tell
) -> list[BackupFile]:
    total = sum(one.bytes for one in segments)
    if (free := free_bytes(target)) < total + _SPARE_BYTES:
        raise BackupFailed(
            f"{total:,} bytes have to be copied and {target} has room for {free:,}: "
            "make room there, or name another folder."
        )
    done = 0

    def copied(size: int) -> None:
        nonlocal done
        done += size
        tell(done, total, "copying segments")

    files = []
    for one in segments:
        file = None
        with contextlib.suppress(FileNotFoundError):
            file = copy_durably(settings.data_dir / one.path, target, one.path, copied)
        if file is None or file.bytes != one.bytes:
            raise BackupFailed(
                f"{one.path} is gone or was cut short. Run `sidelight store verify`, which sets it aside, "
                "and then the backup again."
            )
        files.append(file)
    return files


def _remove_unlisted(target: Path, listed: BackupList) -> None:
    """What only the backup before needed, or one that was interrupted left."""
    names = {one.path for one in listed.files}
    patterns = ("catalogue-*", "positions-*", "segments/*/date=*/hour=*/*")
    for path in [path for pattern in patterns for path in target.glob(pattern)]:
        if str(path.relative_to(target)) not in names and not path.is_dir():
            path.unlink()
    for folder in [*target.glob("segments/*/date=*/hour=*"), *target.glob("segments/*/date=*")]:
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()
