"""One followed file as bytes that can be read from anywhere: plain, or gzip seen through.

What must stay true: a file is held by its handle, so a new name or none changes nothing; ``read`` gives fewer
bytes than asked for only at the present end; what was read before is recognised by content (`holds`), never by
a name or an inode alone: inodes are used again, and copies have others.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Protocol

from collector.follow_positions import Position

HEAD_BYTES = 1024
TAIL_BYTES = 256
_PIECE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_OTHER_COMPRESSIONS = {b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip"}


class CannotFollow(Exception):
    """A sentence: why this file is not followed."""


@dataclass(frozen=True)
class State:
    """What the file system says of an open file: nothing was written while two of them are equal."""

    size: int
    modified_ns: int
    names: int  # hard links; 0: deleted


class Content(Protocol):
    """The bytes of a log, decompressed. ``whole``: the present end is the end for ever."""

    @property
    def whole(self) -> bool: ...
    def read(self, offset: int, size: int) -> bytes: ...


class FollowedFile:
    """An open file. ``content`` is what it holds, ``device`` and ``inode`` what it is."""

    def __init__(self, path: str) -> None:
        """Raises OSError; CannotFollow for what is no file or has a compression nobody here reads."""
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            info = os.fstat(self.fd)
            if not stat.S_ISREG(info.st_mode):
                raise CannotFollow(f"{path} is no regular file.")
            head = os.pread(self.fd, 6, 0)
            for magic, name in _OTHER_COMPRESSIONS.items():
                if head.startswith(magic):
                    raise CannotFollow(f"{path} is compressed with {name}; only gzip is read.")
        except BaseException:
            os.close(self.fd)
            raise
        self.device, self.inode = info.st_dev, info.st_ino
        self.is_gzip = head.startswith(_GZIP)
        self.content: Content = _Gzip(self.fd) if self.is_gzip else _Plain(self.fd)

    def state(self) -> State:
        info = os.fstat(self.fd)
        return State(info.st_size, info.st_mtime_ns, info.st_nlink)

    def close(self) -> None:
        if isinstance(self.content, _Gzip):
            self.content.close()
        os.close(self.fd)

    def begins_like(self, position: Position) -> bool:
        """Whether its first bytes are those of that log. Raises OSError."""
        head = self.content.read(0, position.head_bytes)
        return position.head_bytes > 0 and digest_of(head) == position.head

    def holds(self, position: Position) -> bool:
        """Whether everything up to that position is in here, as far as both ends tell. Raises OSError."""
        if not position.offset:
            return True
        start = position.offset - position.tail_bytes
        tail = self.content.read(start, position.tail_bytes)
        return len(tail) == position.tail_bytes and digest_of(tail) == position.tail


def digest_of(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


class _Plain:
    whole = False

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, offset: int, size: int) -> bytes:
        return _gathered(size, lambda done, left: os.pread(self._fd, left, offset + done))


class _Gzip:
    """Reads forward; going back begins anew. A torn end may be one that is still being written."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._file: gzip.GzipFile | None = None
        self._raw: IO[bytes] | None = None
        self.whole = False

    def read(self, offset: int, size: int) -> bytes:
        self.whole = False
        try:
            if self._file is None or self._file.tell() > offset:
                self._open()
            assert self._file is not None
            self._file.seek(offset)
            file = self._file
            data = _gathered(size, lambda _, left: file.read1(left))
            self.whole = len(data) < size
        except (EOFError, zlib.error, gzip.BadGzipFile):
            data = self._before_the_tear(offset, size)
        return data

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()
        self._file = self._raw = None

    def _open(self) -> None:
        self.close()
        self._raw = os.fdopen(os.dup(self._fd), "rb")
        self._raw.seek(0)  # the duplicate shares its place with the handle
        self._file = gzip.GzipFile(fileobj=self._raw, mode="rb")

    def _before_the_tear(self, offset: int, size: int) -> bytes:
        """Piece by piece, so that nothing that can be read is lost with what cannot."""
        self._open()
        assert self._file is not None
        pieces: list[bytes] = []
        position = 0
        with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):
            while position < offset + size:
                piece = self._file.read1(min(_PIECE_BYTES, offset + size - position))
                if not piece:
                    break
                pieces.append(piece[max(0, offset - position) :])
                position += len(piece)
        self.close()
        return b"".join(pieces)


def _gathered(size: int, more: Callable[[int, int], bytes]) -> bytes:
    pieces: list[bytes] = []
    done = 0
    while done < size:
        piece = more(done, min(_PIECE_BYTES, size - done))
        if not piece:
            break
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)
