"""How the tests read a journal folder: like the store's loader, without deduplication."""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path

from store.frames import Batch, BrokenFrame, decode_frames, decode_header


def read_file(path: Path) -> list[Batch]:
    data = path.read_bytes()
    _, offset = decode_header(data)
    batches = []
    with contextlib.suppress(BrokenFrame):
        batches.extend(batch for batch, _ in decode_frames(data, offset))
    return batches


def read_folder(folder: Path) -> list[Batch]:
    return [batch for path in sorted(folder.glob("*.journal")) for batch in read_file(path)]


def digests(folder: Path) -> list[str]:
    return [mark.digest for batch in read_folder(folder) for mark in batch.exports]


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
