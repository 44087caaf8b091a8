"""The journal: batches appended to files and fsynced for all that wait at once.

What must stay true:

* a future is resolved only after ``fdatasync`` of a file whose name is durable too (the folder was
  fsynced when the file appeared);
* the thread writes whatever waits as soon as the last write is done; no timer lies on that way;
* ``DATA/journal/<writer>-<seq>.journal`` is never seen unlocked while it is being written: it gets
  its lock under another name and is renamed into place with its header (a reader takes an unlocked
  file for a finished one);
* a file is never appended to after a failed write: it is cut back to its last good frame and left,
  the batches of that write fail, and the next append begins a new file. A frame a reader saw before
  the cut was never acknowledged; loading it or not are both right.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa

from collector.errors import Draining, JournalFull, JournalWriteFailed
from store.frames import Batch, encode_frame, encode_header

SUFFIX = ".journal"
UNNAMED_SUFFIX = ".journal-new"  # not locked for sure yet; no reader looks at it
_IOV_MAX = 1024
_USAGE_TTL_S = 0.2

Parts = list[bytes | pa.Buffer]


def writer_name(prefix: str) -> str:
    """A name no other writer had or will have: ``prefix-PID-START_US``."""
    return f"{prefix}-{os.getpid()}-{time.time_ns() // 1000}"


class JournalWriter:
    """Appends batches from any thread; one thread of its own writes them.

    ``limit_bytes`` is for the whole folder (all writers together; None: no limit). ``disk_free_min_bytes`` of its
    disk are left for the store: it cannot seal, and thereby make room, on a full one.
    """

    def __init__(
        self,
        folder: Path | str,
        writer: str,
        limit_bytes: int | None = 4 << 30,
        rotate_bytes: int = 64 << 20,
        rotate_seconds: float = 60,
        disk_free_min_bytes: int = 256 << 20,
    ) -> None:
        self.folder = Path(folder)
        self.writer = writer
        self.limit_bytes = limit_bytes
        self.rotate_bytes = rotate_bytes
        self.rotate_seconds = rotate_seconds
        self.disk_free_min_bytes = disk_free_min_bytes
        self.names: list[str] = []  # files begun by this writer, oldest first
        self.written_bytes = 0
        self.failed_writes = 0
        self.synced_writes = 0
        self._file: _OpenFile | None = None
        self._sequence = 0
        self._waiting: deque[tuple[Batch, Future[int]]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._usage = 0
        self._disk_free = 0
        self._usage_read_at = float("-inf")
        self.folder.mkdir(parents=True, exist_ok=True)
        _remove_unnamed(self.folder)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def append(self, batch: Batch) -> Future[int]:
        """A future of the bytes written, done once they are durable; or it raises an ``Overloaded`` error."""
        future: Future[int] = Future()
        with self._wake:
            if self._closing:
                future.set_exception(Draining("The journal is closed."))
                return future
            self._waiting.append((batch, future))
            self._wake.notify()
        return future

    def append_sync(self, batch: Batch) -> int:
        """Return the bytes written, once durable; raises JournalFull, JournalWriteFailed or Draining."""
        return self.append(batch).result()

    def close(self) -> None:
        """Write what waits, then finish the open file. May be called twice."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def is_full(self) -> bool:
        return self._why_full(0) is not None

    def usage_bytes(self) -> int:
        """Bytes of all journal files in the folder, at most 0.2 s old plus what we wrote since."""
        now = time.monotonic()
        if now - self._usage_read_at > _USAGE_TTL_S:
            self._usage_read_at = now
            self._usage = _folder_bytes(self.folder)
            disk = os.statvfs(self.folder)
            self._disk_free = disk.f_bavail * disk.f_frsize
        return self._usage

    def _why_full(self, more_bytes: int) -> str | None:
        """Why there is no room for so many bytes more, as a sentence; None where there is."""
        used = self.usage_bytes()
        if self.limit_bytes is not None and used + max(more_bytes, 1) > self.limit_bytes:
            return f"The journal has reached its limit of {self.limit_bytes} bytes; try again later."
        if self._disk_free - more_bytes < self.disk_free_min_bytes:
            return (
                f"The disk is nearly full: {self._disk_free >> 20} MiB are free, {self.disk_free_min_bytes >> 20} "
                "must be left. Make room on it, or lower rows_kept_bytes; then try again."
            )
        return None

    # The rest runs in the journal's own thread.

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    if not self._wake.wait(self._seconds_to_rotation()):
                        break
                group = list(self._waiting)
                self._waiting.clear()
                finished = self._closing and not group
            if group:
                self._write(group)
            if self._file is not None and (finished or self._is_ripe()):
                self._finish()
            if finished:
                return

    def _seconds_to_rotation(self) -> float | None:
        if self._file is None:
            return None
        return max(0.0, self._file.opened_at + self.rotate_seconds - time.monotonic())

    def _is_ripe(self) -> bool:
        file = self._file
        assert file is not None
        return file.size >= self.rotate_bytes or self._seconds_to_rotation() == 0.0

    def _write(self, group: list[tuple[Batch, Future[int]]]) -> None:
        frames: list[tuple[Parts, int, Future[int]]] = []
        total = 0
        for batch, future in group:
            try:
                parts = encode_frame(batch)
            except Exception as error:  # a batch that is not of the schema must not end the thread
                future.set_exception(error)
                continue
            size = sum(map(_size, parts))
            total += size
            frames.append((parts, size, future))
        if not frames:
            return
        if (why := self._why_full(total)) is not None:
            # What is finished can be sealed and make room; an open file cannot.
            if self._file is not None:
                self._finish()
            full = JournalFull(why)
            for _, _, future in frames:
                future.set_exception(full)
            return
        try:
            self._write_durably([part for parts, _, _ in frames for part in parts])
        except OSError as error:
            self.failed_writes += 1
            failed = JournalWriteFailed(f"The journal could not be written: {error}; try again later.")
            for _, _, future in frames:
                future.set_exception(failed)
        else:
            self.written_bytes += total
            self._usage += total
            self._disk_free -= total
            self.synced_writes += 1
            for _, size, future in frames:
                future.set_result(size)

    def _write_durably(self, parts: Parts) -> None:
        file = self._file or self._begin()
        try:
            file.append(parts)
        except OSError:
            self._file = None
            if not file.abandon():
                self.names.remove(file.path.name)
            raise

    def _begin(self) -> _OpenFile:
        self._sequence += 1
        path = self.folder / f"{self.writer}-{self._sequence:012d}{SUFFIX}"
        self._file = _OpenFile(path, encode_header(self.writer, time.time_ns() // 1000))
        self.names.append(path.name)
        return self._file

    def _finish(self) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None


class _OpenFile:
    """One journal file, locked while open. Raises OSError and leaves nothing behind if it cannot begin."""

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.opened_at = time.monotonic()
        self.size = len(header)  # good bytes
        self._header_size = len(header)
        unnamed = path.with_suffix(UNNAMED_SUFFIX)
        self._fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(self._fd, [header])
            os.fsync(self._fd)
            os.rename(unnamed, path)
            _sync_folder(path.parent)
        except OSError:
            for name in (unnamed, path):
                with contextlib.suppress(OSError):
                    os.unlink(name)
            os.close(self._fd)
            raise

    def append(self, parts: Parts) -> None:
        written = _write_all(self._fd, parts)
        os.fdatasync(self._fd)
        self.size += written

    def abandon(self) -> bool:
        """Cut what the failed write left and let go. False: nothing good was in it, the file is gone."""
        kept = self.size > self._header_size
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self.size)
            os.fdatasync(self._fd)
        if not kept:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self.close()
        return kept

    def close(self) -> None:
        os.close(self._fd)  # lets go of the lock as well


def _write_all(fd: int, parts: Parts) -> int:
    """Write every part, however few bytes each writev takes; returns the bytes written."""
    views = [memoryview(part).cast("B") for part in parts if _size(part)]
    total = 0
    position = 0
    while position < len(views):
        written = os.writev(fd, views[position : position + _IOV_MAX])
        total += written
        while written and position < len(views):
            if written >= len(views[position]):
                written -= len(views[position])
                position += 1
            else:
                views[position] = views[position][written:]
                written = 0
    return total


def _size(part: bytes | pa.Buffer) -> int:
    return len(part) if isinstance(part, bytes) else part.size


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _folder_bytes(folder: Path) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                with contextlib.suppress(FileNotFoundError):  # sealed and unlinked meanwhile
                    total += entry.stat().st_size
    return total


def _remove_unnamed(folder: Path) -> None:
    """Unlink what a writer killed between creating and naming a file left behind."""
    for path in folder.glob(f"*{UNNAMED_SUFFIX}"):
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDONLY)
            try:
                old = time.time() - os.fstat(fd).st_mtime > 60
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if old:
                    path.unlink()
            finally:
                os.close(fd)
