"""Files, gzip files and standard input as chunks of whole lines.

What must stay true: where a chunk ends depends on the content only (the same lines give the same
chunks, compressed or not, read fast or slowly); line numbers are exact; memory is bounded whatever
the file holds.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from collector.decode.line_parts import unfinished_parts

CHUNK_BYTES = 4 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_GZIP = b"\x1f\x8b"
_OTHER_COMPRESSIONS = {
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -dc"),
    b"BZh": ("bzip2", "bzip2 -dc"),
    b"\xfd7zXZ": ("xz", "xz -dc"),
    b"PK\x03\x04": ("zip", "unzip -p"),
}


class CannotRead(Exception):
    """The file cannot be read at all; the message is a sentence with what to do."""


@dataclass(frozen=True)
class Chunk:
    """``data``: whole lines, each with its newline; ``is_tail``: it ends because the file does."""

    data: bytes
    first_line: int
    is_tail: bool


@dataclass(frozen=True)
class Unread:
    """Lines that were passed over: their first number and why."""

    line: int
    reason: str


class LineFile:
    """One input, opened; iterate `chunks` once. ``raw_bytes`` counts what was read of the file itself."""

    def __init__(self, path: str) -> None:
        """``path`` '-' is standard input. Raises CannotRead."""
        self.path = path
        self.raw_bytes = 0
        self.total_bytes: int | None = None  # None: not known (a pipe)
        self._file = _open(path)
        info = os.fstat(self._file.fileno()) if path != "-" else None
        if info is not None and stat.S_ISREG(info.st_mode):
            self.total_bytes = info.st_size
        head = self._file.peek(6)[:6] if isinstance(self._file, io.BufferedReader) else b""
        for magic, (name, command) in _OTHER_COMPRESSIONS.items():
            if head.startswith(magic):
                self.close()
                raise CannotRead(
                    f"{path} is compressed with {name}. Use: {command} {path} | sidelight import -"
                )
        counted = _Counted(self._file, self)
        # read1: what a torn gzip file holds before the tear is handed out, not lost in a buffer.
        is_gzip = head.startswith(_GZIP)
        self._read = gzip.GzipFile(fileobj=counted, mode="rb").read1 if is_gzip else counted.read

    def close(self) -> None:
        if self.path != "-":
            self._file.close()

    def chunks(self) -> Iterator[Chunk | Unread]:
        line = 1
        waiting, ended, trouble = b"", False, None
        while True:
            waiting, ended, found = self._fill(waiting, ended)
            if found:  # what was read counts, without the line it broke in
                waiting, trouble = waiting[: waiting.rfind(b"\n") + 1], found
            if ended and len(waiting) <= CHUNK_BYTES:
                if waiting:
                    data = waiting if waiting.endswith(b"\n") else waiting + b"\n"
                    yield Chunk(data, line, is_tail=True)
                    line += data.count(b"\n")
                if trouble:
                    yield Unread(line, trouble)
                return
            end = _chunk_end(waiting)
            if end:
                yield Chunk(waiting[:end], line, is_tail=False)
                line += waiting.count(b"\n", 0, end)
                waiting = waiting[end:]
            else:
                waiting, ended = self._pass_over(waiting, ended)
                yield Unread(line, f"the line is longer than {CHUNK_BYTES} bytes")
                line += 1

    def _fill(self, waiting: bytes, ended: bool) -> tuple[bytes, bool, str | None]:
        """Read until more than a chunk waits: (bytes, whether the file ended, what went wrong)."""
        pieces = [waiting]
        size = len(waiting)
        trouble = None
        while not ended and size <= CHUNK_BYTES:
            try:
                piece = self._read(_READ_BYTES)
            except (OSError, EOFError, zlib.error) as error:
                piece, trouble = b"", f"the file cannot be read further: {error}"
            ended = not piece
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces), ended, trouble

    def _pass_over(self, waiting: bytes, ended: bool) -> tuple[bytes, bool]:
        """Drop an endless line up to its newline."""
        while b"\n" not in waiting and not ended:
            waiting, ended, _ = self._fill(b"", ended)
        return waiting[waiting.find(b"\n") + 1 or len(waiting) :], ended


class _Counted(io.RawIOBase):
    """Counts the bytes that were really read, for the progress bar (gzip reads less than it gives)."""

    def __init__(self, file: IO[bytes], owner: LineFile) -> None:
        self._inner, self._owner = file, owner

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(size)
        self._owner.raw_bytes += len(data)
        return data


def _open(path: str) -> IO[bytes]:
    if path == "-":
        return sys.stdin.buffer
    try:
        if Path(path).is_dir():
            raise CannotRead(
                f"{path} is a folder. Name the files in it, for instance: sidelight import {path}/*.log"
            )
        return open(path, "rb")
    except FileNotFoundError as error:
        raise CannotRead(f"{path} does not exist. Check the name, or use - for standard input.") from error
    except OSError as error:
        raise CannotRead(
            f"{path} cannot be read: {error.strerror}. Check who may read it (ls -l)."
        ) from error


def _chunk_end(waiting: bytes) -> int:
    """Where the first chunk of these bytes ends; 0 where their first line is longer than a chunk."""
    end = waiting.rfind(b"\n", 0, CHUNK_BYTES) + 1
    return (unfinished_parts(waiting, end) or end) if end else 0
