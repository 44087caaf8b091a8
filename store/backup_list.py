"""``backup.json``: what a backup holds, and how files get in and out of it.

What must stay true: a list is written only after all it names is durable, and replaces the one before by rename; a
folder without one is no finished backup. Its text may be anybody's: no path in it leads out of its folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from store.errors import StoreError
from store.segments import UNFINISHED, make_durable_folder, sync

NAME = "backup.json"
KIND = "sidelight backup"
FORMAT = 1
POSITIONS = "follow/positions"
"""In a data folder: how far followed logs were read (`collector/follow_positions.py`)."""

_PATH = re.compile(
    r"segments/[a-z0-9_]+/date=\d{4}-\d\d-\d\d/hour=\d\d/[\w.-]+\.parquet|"
    r"catalogue-\d{8}T\d{12}Z\.duckdb|positions-\d{8}T\d{12}Z"
)
_CHUNK = 1 << 20


class BadBackup(StoreError):
    """A folder that is no backup, or one that is damaged."""


@dataclass(frozen=True)
class BackupFile:
    """One file: its path below the folder, its bytes, and the BLAKE2b digest (16 bytes, hex) of them."""

    path: str
    bytes: int
    digest: str


@dataclass(frozen=True)
class BackupList:
    """``rows`` per table; ``files`` are all of them; ``catalogue`` and ``positions`` are paths of one each."""

    schema_version: int
    created_at: str
    data_dir: str
    catalogue: str
    positions: str | None
    rows: dict[str, int]
    files: list[BackupFile] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def write(self, folder: Path) -> None:
        """Durable when this returns. Raises OSError."""
        unfinished = folder / (NAME + UNFINISHED)
        body = {"kind": KIND, "format": FORMAT, **asdict(self)}
        unfinished.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        sync(unfinished)
        os.rename(unfinished, folder / NAME)
        sync(folder)


def read_list(folder: Path) -> BackupList:
    """The list of a finished backup. Raises BadBackup."""
    path = folder / NAME
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["kind"] != KIND or body["format"] != FORMAT:
            raise ValueError(f"it says {str(body['kind'])[:40]!r}, format {str(body['format'])[:10]}")
        files = [BackupFile(str(one["path"]), int(one["bytes"]), str(one["digest"])) for one in body["files"]]
        strange = next((one.path for one in files if not _PATH.fullmatch(one.path)), None)
        if strange is not None or len({one.path for one in files}) != len(files):
            raise ValueError(f"it names {str(strange)[:80]!r}")
        named = [body["catalogue"], *([body["positions"]] if body["positions"] else [])]
        if not {one.path for one in files}.issuperset(named):
            raise ValueError("it has no catalogue")
        rows = {str(table): int(count) for table, count in body["rows"].items()}
        version, created = int(body["schema_version"]), str(body["created_at"])
        return BackupList(version, created, str(body["data_dir"]), named[0], body["positions"], rows, files)
    except FileNotFoundError:
        raise BadBackup(
            f"{folder} holds no finished backup: there is no {NAME} in it (the last thing a backup writes). "
            "Name another folder, or run sidelight backup again."
        ) from None
    except OSError as error:
        raise BadBackup(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadBackup(
            f"{path} is no list of a backup this Sidelight knows ({error}). Name another folder."
        ) from error


def copy_durably(source: Path, root: Path, relative: str, copied: Callable[[int], None]) -> BackupFile:
    """Copy ``source`` to ``root/relative``, durable when this returns; ``copied(bytes)`` as it goes. Raises OSError."""
    final = root / relative
    make_durable_folder(final.parent, root)
    unfinished = final.with_name(final.name + UNFINISHED)
    unfinished.unlink(missing_ok=True)
    digest, size = blake2b(digest_size=16), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(source, "rb") as reading, open(os.open(unfinished, flags, 0o600), "wb") as writing:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            writing.write(chunk)
            size += len(chunk)
            copied(len(chunk))
        writing.flush()
        os.fsync(writing.fileno())
    os.rename(unfinished, final)
    sync(final.parent)
    return BackupFile(relative, size, digest.hexdigest())


def describe_file(root: Path, relative: str) -> BackupFile:
    """A file as it lies there. Raises OSError."""
    digest, size = blake2b(digest_size=16), 0
    with open(root / relative, "rb") as reading:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return BackupFile(relative, size, digest.hexdigest())


def free_bytes(folder: Path) -> int:
    """Bytes this user may still write where ``folder`` (or the nearest parent that exists) lies."""
    while not folder.exists():
        folder = folder.parent
    found: Any = os.statvfs(folder)
    return int(found.f_bavail * found.f_frsize)
