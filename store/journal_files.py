"""Journal files as a reader sees them: found, read frame by frame, and known to be finished or not.

What must stay true: only whole frames are ever handed on, each once, in the file's order, also those behind broken
bytes (nothing is appended after a failed write, so what follows was acknowledged); a file counts as finished only if
nobody held its lock *before* its last bytes were read (a writer locks its file before it gives it its name, so an
unlocked file gets no more frames).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path

from store.frames import Batch, BrokenFrame, decode_frames, decode_header, find_frame, is_torn
from store.physical import WIRE

SUFFIX = ".journal"
_FRAME_HEAD_BYTES = 16
_SECTOR_BYTES = 4096


def list_journals(folder: Path) -> list[str]:
    """Names of the journal files in ``folder``, oldest first as far as their names tell."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return []


@dataclass
class JournalFile:
    """One file being read. ``offset`` moves only when its reader says the frames are kept."""

    path: Path
    offset: int = 0
    created_us: int = 0
    finished: bool = False
    """No frame will be added (nobody holds its lock)."""
    exhausted: bool = False
    """Finished, and every whole frame has been *kept*: only then may the file be sealed. A read that hands on
    the last frames does not set it; the next one does, behind ``advance``."""
    torn_bytes: int = 0
    """Bytes of a write that was not finished, never acknowledged."""
    damaged_bytes: int = 0
    """Bytes that are no whole frame although they were written whole: the disk destroyed what was acknowledged."""
    left: int = 0
    """Bytes that the last read saw and did not return."""
    _fd: int = field(default=-1, repr=False)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def writer(self) -> str:
        """Who wrote it: the name without the journal's number."""
        return self.name.rpartition("-")[0] or self.name

    def read(self, max_bytes: int) -> tuple[list[Batch], int]:
        """(whole frames after ``offset``, the offset after them); about ``max_bytes``, at least one frame.

        Call ``advance`` with that offset once the frames are kept. Raises FileNotFoundError if it is gone.
        """
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        if not self.finished:
            self.finished = self._is_unlocked()
        size = os.fstat(self._fd).st_size
        if size <= self.offset:
            self.left = 0
            self.exhausted = self.finished
            return [], self.offset
        if self.offset == 0 and not self._read_header(size):
            return [], 0
        while True:
            wanted = max(max_bytes, self._next_frame_bytes())
            data = _read_at(self._fd, min(wanted, size - self.offset), self.offset)
            batches, after = _whole_frames(data)
            if batches or not self.finished or not self._skip_damage(size):
                break
        self.left = 0 if self.exhausted else size - self.offset - after
        return batches, self.offset + after

    def advance(self, offset: int) -> None:
        self.offset = offset

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read_header(self, size: int) -> bool:
        try:
            header, length = decode_header(_read_at(self._fd, min(size, 65536), 0))
        except BrokenFrame:
            return self.finished  # its frames are looked for
        created = header.get("created_us")
        self.created_us = created if isinstance(created, int) else 0
        self.offset = length
        return True

    def _skip_damage(self, size: int) -> bool:
        """Go on with the next whole frame behind ``offset``, where none begins. False: there is none."""
        data = _read_at(self._fd, size - self.offset, self.offset)
        found = find_frame(data, 0)
        if found is None and is_torn(data):
            self.torn_bytes += len(data)
        else:
            self.damaged_bytes += len(data) if found is None else found
        self.offset += found or 0
        self.exhausted = found is None
        return found is not None

    def _next_frame_bytes(self) -> int:
        head = _read_at(self._fd, _FRAME_HEAD_BYTES, self.offset)
        if len(head) < _FRAME_HEAD_BYTES:
            return _FRAME_HEAD_BYTES
        return _FRAME_HEAD_BYTES + int.from_bytes(head[8:16], "little")

    def _is_unlocked(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return True


def _read_at(fd: int, size: int, offset: int) -> bytes:
    """The bytes there; zeros where the disk cannot give them back."""
    with contextlib.suppress(OSError):
        return os.pread(fd, size, offset)
    pieces = []
    for at in range(offset, offset + size, _SECTOR_BYTES):
        length = min(_SECTOR_BYTES, offset + size - at)
        try:
            pieces.append(os.pread(fd, length, at))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            pieces.append(bytes(length))
    return b"".join(pieces)


def _whole_frames(data: bytes) -> tuple[list[Batch], int]:
    batches: list[Batch] = []
    end = 0
    with contextlib.suppress(BrokenFrame):
        for batch, after in decode_frames(data, 0, WIRE):
            batches.append(batch)
            end = after
    return batches, end


def remove_journal(path: Path) -> None:
    """Unlink a journal file whose rows are sealed; it may be gone already."""
    path.unlink(missing_ok=True)
