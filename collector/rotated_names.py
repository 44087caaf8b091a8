"""Names that one log has over its life: ``access.log``, ``access.log.1``, ``access-20261122.log.gz``.

What must stay true: a name alone never decides that bytes were read (their content does); it only says
where to look, and which files between a known one and the present one belong to the same log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_COMPRESSED = re.compile(r"\.(?:gz|zst|bz2|xz)$")
_AFTER = re.compile(r"[.\-_]\d[\d.\-_T:]*$")  # access.log.1, 0.log.20261122-030000
_BEFORE = re.compile(
    r"(?:\.\d{1,3}|[.\-_]\d{6,}[\d\-_T:]*)(\.[A-Za-z]+)$"
)  # access.1.log, access-20261122.log


def log_name(name: str) -> str:
    """The name without what rotation and compression add to it."""
    name = _COMPRESSED.sub("", name)
    bare = _AFTER.sub("", name)
    return _BEFORE.sub(r"\1", bare or name)


def is_rotated(name: str, base: str) -> bool:
    """Whether rotation gives ``base`` that name (gzip included)."""
    bare = _COMPRESSED.sub("", name)
    if bare.startswith(base):
        return _AFTER.fullmatch(bare[len(base) :]) is not None
    return _BEFORE.sub(r"\1", bare) == base


def others_of(path: str) -> Iterator[os.DirEntry[str]]:
    """The files beside ``path`` that rotation may have made of it, or it of them; itself too."""
    wanted = log_name(os.path.basename(path))
    for entry in _entries(os.path.dirname(path)):
        if log_name(entry.name) == wanted:
            yield entry


def by_inode(folder: str, inode: int) -> Iterator[os.DirEntry[str]]:
    """Where in this folder the file lies now (a folder lists inodes without asking each file)."""
    for entry in _entries(folder):
        if entry.inode() == inode:
            yield entry


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return
