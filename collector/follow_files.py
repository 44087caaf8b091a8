"""The file system as the follower sees it: what targets name, what is open, where a log may lie now.

What must stay true: a name is never trusted for longer than it takes to open it; what cannot be opened is told
once, not at every look.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from collector.follow_positions import Position
from collector.follow_targets import FollowTarget
from collector.followed_file import HEAD_BYTES, CannotFollow, FollowedFile, State
from collector.rotated_names import by_inode, log_name, others_of

log = logging.getLogger(__name__)

BYTES_MIN = 2  # fewer do not say whether it is gzip
_COMPLAINTS_MAX = 10_000

Place = tuple[int, int]  # device, inode


class Found(NamedTuple):
    """A file that a target names: by which name, where it really lies."""

    origin: str
    path: str
    info: os.stat_result


@dataclass
class OpenLog:
    """A log with its file open. ``position`` is what has been delivered."""

    file: FollowedFile
    position: Position
    read_at: State | None = None  # the file's state when everything in it had been read
    changed_s: float = 0.0  # when it last was another one (monotonic)
    left: bool = False  # its name is another file's now, or nobody's
    searched: bool = False  # and where it went has been looked up
    turn: int = 0  # when something was taken of it last

    @property
    def place(self) -> Place:
        return self.file.device, self.file.inode


class Index:
    """Where to look for the log of a file; of what was read, that is: new logs have no content yet."""

    def __init__(self, positions: Iterable[Position]) -> None:
        self.by_place: dict[Place, list[Position]] = {}
        self.by_folder: dict[str, list[Position]] = {}
        self.paths: set[str] = set()
        self.modified_ns: dict[str, int] = {}  # of the last log each origin had
        self.emitters: dict[str, str | None] = {}
        for one in positions:
            self.by_place.setdefault((one.device, one.inode), []).append(one)
            self.by_folder.setdefault(os.path.dirname(one.path), []).append(one)
            self.paths.add(one.path)
            self.modified_ns[one.origin] = max(one.modified_ns, self.modified_ns.get(one.origin, 0))
            self.emitters[one.origin] = one.emitter

    def may_hold(self, file: FollowedFile) -> Iterator[Position]:
        """The logs that a file may be of: by its place, or by its name among those beside it."""
        yield from self.by_place.get((file.device, file.inode), ())
        for one in self.by_folder.get(os.path.dirname(file.path), ()):
            if are_one_log(one.path, file.path):
                yield one


class Opener:
    """Opens files; says once of each why it cannot."""

    def __init__(self) -> None:
        self._complained: set[str] = set()

    def open(self, path: str, place: Place | None = None) -> FollowedFile | None:
        """``place``: what the name stood for a moment ago; if it is another file now, the next scan tells."""
        try:
            file = FollowedFile(path)
            if place in (None, (file.device, file.inode)):
                return file
            file.close()
        except CannotFollow as error:
            self.complain(path, str(error))
        except FileNotFoundError:
            pass
        except OSError as error:
            self.complain(path, f"{path} cannot be read: {error.strerror}. Check who may read it (ls -l).")
        return None

    def complain(self, path: str, sentence: str) -> None:
        if path not in self._complained and len(self._complained) < _COMPLAINTS_MAX:
            self._complained.add(path)
            log.warning("%s", sentence)


def found_files(targets: Iterable[FollowTarget]) -> Iterator[Found]:
    """What the targets name now."""
    for target in targets:
        for origin in target.paths():
            try:
                path = os.path.realpath(origin)
                info = os.stat(path)
            except OSError:
                continue
            if info.st_size >= BYTES_MIN and stat.S_ISREG(info.st_mode):
                yield Found(origin, path, info)


def candidates(position: Position) -> Iterator[str]:
    """The names under which a log's file, or a copy of it, may lie now; the likely ones first."""
    if lies_at(position.path, (position.device, position.inode)):
        yield position.path
    folder = os.path.dirname(position.path)
    for entry in by_inode(folder, position.inode):
        if entry.path != position.path:
            yield entry.path
    for entry in others_of(position.path):
        if entry.inode() != position.inode:
            yield entry.path


def are_one_log(path: str, other: str) -> bool:
    """Whether two names in one folder may be of one log, by what rotation does to names."""
    (folder, name), (other_folder, other_name) = os.path.split(path), os.path.split(other)
    return folder == other_folder and log_name(name) == log_name(other_name)


def begins_with(file: FollowedFile, head: bytes) -> bool:
    """Whether a file and what another one begins with are alike, as far as both go."""
    mine = file.content.read(0, HEAD_BYTES)
    size = min(len(mine), len(head))
    return size > 0 and mine[:size] == head[:size]


def mark(info: os.stat_result) -> tuple[int, int]:
    return info.st_size, info.st_mtime_ns


def lies_at(path: str, place: Place) -> bool:
    try:
        info = os.stat(path)
    except OSError:
        return False
    return (info.st_dev, info.st_ino) == place
