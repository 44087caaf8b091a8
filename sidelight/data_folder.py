"""The data folder as seen from outside: who owns it, and how to talk to the owner.

A server is *running* when somebody holds the lock on ``DATA/lock``; the file's presence says
nothing. Beside it, ``DATA/token`` (mode 0600) lets this machine's user ask the API. Only the
standard library is imported here: the supervisor must stay small.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


class FolderInUse(RuntimeError):
    """Somebody else holds the folder's lock."""


@dataclass(frozen=True)
class RunningServer:
    """Where the server that owns the folder answers; ``token`` opens its API."""

    pid: int
    ui_url: str
    token: str
    ca_file: str | None


class FolderLock:
    """Holds ``DATA/lock`` for the life of this object."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._path = data_dir / "lock"
        self._file: IO[str] = open(self._path, "a+", encoding="utf-8")  # noqa: SIM115 - held open on purpose
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = _owner(self._file)
            self._file.close()
            who = f" (process {owner['pid']})" if "pid" in owner else ""
            raise FolderInUse(
                f"{data_dir} is in use by another sidelight{who}. "
                "Stop it, or choose another folder with --data."
            ) from error
        self.announce({"pid": os.getpid()})

    def announce(self, content: dict[str, Any]) -> None:
        """Write what others may know about the owner."""
        self._file.seek(0)
        self._file.truncate()
        json.dump(content, self._file)
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def find_running(data_dir: Path) -> RunningServer | None:
    """The server that owns ``data_dir``, or None when nobody serves it (also if a command holds it)."""
    try:
        file = open(data_dir / "lock", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            owner = _owner(file)
        else:
            return None
    if "ui_url" not in owner:
        return None
    try:
        token = (data_dir / "token").read_text(encoding="utf-8").strip()
    except OSError:
        token = ""
    return RunningServer(owner["pid"], owner["ui_url"], token, owner.get("ca_file"))


def local_token(data_dir: Path) -> str:
    """The token of ``DATA/token``, made at the first call (mode 0600)."""
    path = data_dir / "token"
    try:
        token = path.read_text(encoding="utf-8").strip()
        if token:
            os.chmod(path, 0o600)
            return token
    except FileNotFoundError:
        pass
    token = secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(token + "\n")
    return token


def _owner(file: IO[str]) -> dict[str, Any]:
    try:
        file.seek(0)
        owner = json.load(file)
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}
