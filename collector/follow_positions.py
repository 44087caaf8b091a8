"""How far every followed log was read, and what was about to be delivered: ``DATA/follow/positions``.

Files are their own buffer, so all that must survive a crash is where to go on. The rows lie in the journal,
the position here, and nothing writes both at once; so each delivery is announced first. What must stay true:

* an *intent* (which bytes of which logs, under which digest) is on the disk before its rows are in the journal;
* the next intent is written only when the rows of the one before are durable; a crash therefore leaves at most
  one intent open, and its bytes are read and delivered again under the same digest and moment: if the rows
  had arrived, the loader drops them;
* the file only grows and is replaced whole by a shorter one; a torn last line is as if never written;
* one process at a time writes it (a lock beside it).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_COMPACT_BYTES = 1 << 20
_FORMAT = 1


class PositionsInUse(RuntimeError):
    """Another follower works on this folder."""


@dataclass(frozen=True)
class Position:
    """How far one log was read. A log is its content, whatever name or compression it has just now.

    ``offset`` and ``lines``: bytes and lines read (of the content, not of a gzip file); ``head`` and ``tail``:
    digests of its first ``head_bytes`` and of the last ``tail_bytes`` before ``offset``.
    """

    key: int
    origin: str  # the name it was first followed under: says the emitter and the format
    path: str  # where it was last seen
    device: int
    inode: int
    offset: int = 0
    lines: int = 0
    head: str = ""
    head_bytes: int = 0
    tail: str = ""
    tail_bytes: int = 0
    modified_ns: int = 0  # the file's, when it was last read
    emitter: str | None = None
    rejects: int = 0  # described so far
    in_long_line: bool = False  # within a line that is too long to be read
    ended: bool = False  # nothing comes any more
    gone_s: int = 0  # since when its file is nowhere to be seen, seconds since the epoch; 0: it is there


@dataclass(frozen=True)
class Intent:
    """One delivery: ``ranges`` are (key, start, end) in bytes of the logs, ``after`` the positions behind it."""

    number: int
    received_us: int
    digest: str
    ranges: list[tuple[int, int, int]]
    after: list[Position]


@dataclass
class _Read:
    """What the lines of the file say."""

    identity: str = ""
    positions: dict[int, Position] = field(default_factory=dict)
    open_intent: dict[str, Any] | None = None
    number: int = 0
    last_key: int = 0
    good_bytes: int = 0


class PositionLog:
    """Opened by one process at a time. ``positions`` holds the state before ``unsettled``, if that is set."""

    def __init__(self, folder: Path, lock_wait_s: float = 10.0) -> None:
        """Raises PositionsInUse, OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder / "lock", lock_wait_s)
        self._path = folder / "positions"
        read = _read(self._path)
        self._identity = read.identity or secrets.token_hex(16)
        self.positions = read.positions
        self._number = read.number
        self._last_key = read.last_key
        self._fd = -1
        self._size = self._compact_at = 0
        self.unsettled = self._intent_of(read.open_intent) if read.open_intent else None
        self._replace(read.open_intent)

    def new_key(self) -> int:
        self._last_key += 1
        return self._last_key

    def intend(self, ranges: list[tuple[int, int, int]], after: list[Position], received_us: int) -> Intent:
        """Announce a delivery; it is on the disk when this returns. Raises OSError."""
        assert self.unsettled is None
        self._number += 1
        line = _intent_line(self._number, received_us, ranges, after)
        self._append(line)
        os.fdatasync(self._fd)
        self.unsettled = self._intent_of(line)
        return self.unsettled

    def settle(self) -> None:
        """The announced rows are durable. Not synced: at worst they are delivered again, and dropped."""
        assert self.unsettled is not None
        with contextlib.suppress(OSError):
            self._append({"settled": self.unsettled.number})
        self._apply(self.unsettled.after)
        self.unsettled = None
        if self._size > self._compact_at:
            with contextlib.suppress(OSError):  # a full disk: the long file says the same
                self._replace(None)

    def note(self, positions: Iterable[Position]) -> None:
        """Positions that moved without rows: blank lines, another name. Not synced."""
        changed = [one for one in positions if self.positions.get(one.key) != one]
        if changed:
            with contextlib.suppress(OSError):
                self._append({"noted": [asdict(one) for one in changed]})
            self._apply(changed)

    def forget(self, keys: Iterable[int]) -> None:
        gone = [key for key in keys if self.positions.pop(key, None)]
        if gone:
            with contextlib.suppress(OSError):
                self._append({"forgotten": gone})

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._lock)

    def _apply(self, positions: Iterable[Position]) -> None:
        self.positions.update((one.key, one) for one in positions)

    def _intent_of(self, line: dict[str, Any]) -> Intent:
        name = f"{self._identity}\0{line['intent']}"
        return Intent(
            number=line["intent"],
            received_us=line["received_us"],
            digest=hashlib.blake2b(name.encode(), digest_size=16).hexdigest(),
            ranges=[(key, start, end) for key, start, end in line["ranges"]],
            after=[Position(**one) for one in line["after"]],
        )

    def _append(self, line: dict[str, Any]) -> None:
        data = _encoded(line)
        written = os.write(self._fd, data)
        if written != len(data):
            os.ftruncate(self._fd, self._size)
            raise OSError("the disk is full")
        self._size += written

    def _replace(self, open_intent: dict[str, Any] | None) -> None:
        """Write all that counts into a new file and put it in the place of the old one."""
        lines: list[dict[str, Any]] = [
            {"format": _FORMAT, "identity": self._identity, "number": self._number, "key": self._last_key},
            {"noted": [asdict(one) for one in self.positions.values()]},
        ]
        data = b"".join(_encoded(line) for line in [*lines, *([open_intent] if open_intent else [])])
        unnamed = self._path.with_suffix(".new")
        fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(data)
        os.fsync(fd)
        os.rename(unnamed, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size = fd, len(data)
        self._compact_at = _COMPACT_BYTES + 4 * len(data)


def _read(path: Path) -> _Read:
    """Whole lines up to the first that is none; what follows was not written to its end."""
    read = _Read()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return read
    for raw in data.splitlines(keepends=True):
        try:
            line = json.loads(raw) if raw.endswith(b"\n") else None
        except ValueError:
            line = None
        if not isinstance(line, dict):
            break
        _take(line, read)
    return read


def _take(line: dict[str, Any], read: _Read) -> None:
    if "identity" in line:
        read.identity, read.number, read.last_key = line["identity"], line["number"], line["key"]
    if "intent" in line or "settled" in line:
        if read.open_intent is not None:
            moved = [Position(**one) for one in read.open_intent["after"]]
            read.positions.update((one.key, one) for one in moved)
        read.open_intent = line if "intent" in line else None
        read.number = line.get("intent", read.number)
    for one in line.get("noted", ()):
        read.positions[one["key"]] = Position(**one)
    for key in line.get("forgotten", ()):
        read.positions.pop(key, None)
    after = read.open_intent["after"] if read.open_intent else ()
    read.last_key = max([read.last_key, *read.positions, *(one["key"] for one in after)])


def _intent_line(
    number: int, received_us: int, ranges: list[tuple[int, int, int]], after: list[Position]
) -> dict[str, Any]:
    return {
        "intent": number,
        "received_us": received_us,
        "ranges": ranges,
        "after": [asdict(one) for one in after],
    }


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _locked(path: Path, wait_s: float) -> int:
    """A follower that was left by a killed supervisor may live for another second or two."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        if time.monotonic() > deadline:
            os.close(fd)
            raise PositionsInUse(f"Another follower holds {path.parent}.")
        time.sleep(0.05)
