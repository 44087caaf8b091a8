"""Which files are followed just now: found by glob, recognised by content, kept through rotation.

What must stay true: a log is read through one file at a time, and two files of one log (renamed, copied,
compressed) never count as two logs; a log whose file was renamed, truncated under a copy or compressed goes on
where it was, in whatever holds the rest; while its handle is open, a deleted file is read to its end.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from collector.follow_positions import Position, PositionLog
from collector.follow_targets import FollowTarget
from collector.followed_file import HEAD_BYTES, CannotFollow, FollowedFile, State, digest_of
from collector.rotated_names import by_inode, is_rotated, log_name, others_of

log = logging.getLogger(__name__)

_BYTES_MIN = 2  # fewer do not say whether it is gzip
_SEARCH_AGAIN_S = 5.0
_SEARCHED_FOR_S = 60.0
_REMEMBERED_S = 24 * 3600

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


class _Index:
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


class Watch:
    """``logs``: what is open, by place. ``clock`` gives monotonic seconds."""

    def __init__(
        self,
        targets: tuple[FollowTarget, ...],
        positions: PositionLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.logs: dict[Place, OpenLog] = {}
        self._open: set[int] = set()  # keys
        self._built: _Index | None = None
        self._targets = targets
        self._positions = positions
        self._clock = clock
        self._examined: dict[Place, tuple[int, int]] = {}  # nothing to read there at this size and time
        self._complained: set[str] = set()
        self._lost: dict[int, tuple[float, float]] = {}  # without a file: (search again at, until)
        self._is_first = True
        self._tidy_s = clock()

    def scan(self) -> None:
        """Look at the file system once."""
        if self._is_first:
            self._is_first = False
            self._lose(one.key for one in self._positions.positions.values() if not one.ended)
        self._built = None
        seen: dict[Place, Found] = {}
        origins: dict[str, Place] = {}
        for found in self._found():
            place = (found.info.st_dev, found.info.st_ino)
            origins[found.origin] = place
            seen.setdefault(place, found)
        for one in list(self.logs.values()):
            self._see(one, seen.get(one.place), origins)
        new = {
            place: found
            for place, found in seen.items()
            if place not in self.logs and self._examined.get(place) != _mark(found.info)
        }
        # Where a log was last seen comes before what may be a copy of it.
        for place, found in sorted(new.items(), key=lambda item: self._strangeness(*item)):
            self._meet(place, found)
        self._search_lost()
        if self._clock() > self._tidy_s:
            self._tidy(seen)

    @property
    def _index(self) -> _Index:
        """Built at most once a scan, and only when something is to be looked up."""
        if self._built is None:
            self._built = _Index(self._positions.positions.values())
        return self._built

    def find(self, position: Position) -> FollowedFile | None:
        """The file that holds a log up to this position: by its place, else by content. Opened."""
        for path in self._candidates(position):
            file = self._opened(path)
            if file is None:
                continue
            is_there = (position.device, position.inode) == (file.device, file.inode)
            if (is_there or file.begins_like(position)) and file.holds(position):
                return file
            file.close()
        return None

    def broke_off(self, one: OpenLog) -> None:
        """The file does not hold any more what was read of it: it was truncated, or written anew."""
        self._detach(one)
        if one.position.offset:
            self._lose([one.position.key])

    def finish(self, one: OpenLog, ended: bool) -> None:
        """Close a file; ``ended``: everything of the log was read, whatever of it turns up again."""
        state = one.file.state()
        if ended:
            self._examined.clear()  # a copy takes its place
        self._examined[one.place] = (state.size, state.modified_ns)
        self._detach(one)
        if one.position.key in self._positions.positions:
            self._positions.note([replace(one.position, ended=ended)])

    def close(self) -> None:
        for one in list(self.logs.values()):
            self._detach(one)

    def _detach(self, one: OpenLog) -> None:
        del self.logs[one.place]
        self._open.discard(one.position.key)
        one.file.close()

    def _lose(self, keys: Iterable[int]) -> None:
        now = self._clock()
        self._lost.update((key, (now, now + _SEARCHED_FOR_S)) for key in keys)

    def _found(self) -> Iterator[Found]:
        for target in self._targets:
            for origin in target.paths():
                try:
                    path = os.path.realpath(origin)
                    info = os.stat(path)
                except OSError:
                    continue
                if info.st_size >= _BYTES_MIN and os.path.isfile(path):
                    yield Found(origin, path, info)

    def _see(self, one: OpenLog, found: Found | None, origins: dict[str, Place]) -> None:
        """What became of an open file's name."""
        one.left = origins.get(one.position.origin) != one.place and not _lies_at(
            one.position.origin, one.place
        )
        if found is not None:
            path: str | None = found.path
        elif _lies_at(one.position.path, one.place):
            path = one.position.path
        elif one.searched:
            return
        else:
            one.searched = True
            path = self._new_name(one)
        if path is not None and path != one.position.path:
            one.position = replace(one.position, path=path)
            one.searched = False
            if one.position.key in self._positions.positions:
                self._positions.note([one.position])

    def _new_name(self, one: OpenLog) -> str | None:
        if one.file.state().names == 0:
            return None
        for entry in by_inode(os.path.dirname(one.position.path), one.file.inode):
            if _lies_at(entry.path, one.place):
                return entry.path
        return None

    def _strangeness(self, place: Place, found: Found) -> int:
        if place in self._index.by_place:
            return 0
        return 1 if found.path in self._index.paths else 2

    def _meet(self, place: Place, found: Found) -> None:
        """A file that is not open: part of a log we know, or a new one."""
        file = self._opened(found.path, place)
        if file is None:
            return
        try:
            known = self._known(file)
            is_copy = known is not None and (known.key in self._open or known.ended or not file.holds(known))
        except OSError as error:
            self._complain(found.path, f"{found.path} cannot be read: {error.strerror}.")
            known, is_copy = None, True
        if is_copy:  # of what is read elsewhere, or was
            self._examined[place] = _mark(found.info)
            file.close()
            if known is not None and known.ended:
                self._positions.note([replace(known, device=place[0], inode=place[1], path=found.path)])
        else:
            self._attach(file, known or self._first_position(file, found.origin))

    def _known(self, file: FollowedFile) -> Position | None:
        """The log whose content this file has, or the beginning of it."""
        place = (file.device, file.inode)
        folder, name = os.path.split(file.path)
        beside = [
            one
            for one in self._index.by_folder.get(folder, ())
            if log_name(os.path.basename(one.path)) == log_name(name)
        ]
        shorter: Position | None = None
        for one in [*self._index.by_place.get(place, ()), *beside]:
            if not file.begins_like(one):
                continue
            if one.key in self._open or one.ended or file.holds(one):
                return one
            if (one.device, one.inode) != place:
                shorter = one  # less than what was read: a copy that is still being written
        return shorter or self._unread_like(file, folder, log_name(name))

    def _unread_like(self, file: FollowedFile, folder: str, name: str) -> Position | None:
        """An open log of which nothing was taken yet, so that no position says what it begins with."""
        for one in self.logs.values():
            at = os.path.split(one.position.path)
            if one.position.offset or one.place == (file.device, file.inode):
                continue
            if at[0] == folder and log_name(at[1]) == name and _begin_alike(file, one.file):
                return one.position
        return None

    def _first_position(self, file: FollowedFile, origin: str) -> Position:
        return Position(
            key=self._positions.new_key(),
            origin=origin,
            path=file.path,
            device=file.device,
            inode=file.inode,
            emitter=self._index.emitters.get(origin),  # the name a log was given stays, over rotations
        )

    def _attach(self, file: FollowedFile, position: Position, left: bool = False) -> OpenLog:
        self._lost.pop(position.key, None)
        position = replace(position, device=file.device, inode=file.inode, path=file.path, gone_s=0)
        one = OpenLog(file, position, changed_s=self._clock(), left=left)
        self.logs[one.place] = one
        self._open.add(position.key)
        return one

    def _search_lost(self) -> None:
        """Logs whose file is not where it was: renamed while nobody looked, or replaced by a copy of itself."""
        now = self._clock()
        for key, (again, until) in list(self._lost.items()):
            position = self._positions.positions.get(key)
            if position is None or not any(one.matches(position.origin) for one in self._targets):
                del self._lost[key]
                continue
            if now < again:
                continue
            file = self.find(position)
            if file is None:
                if now >= until:
                    del self._lost[key]
                    self._positions.note([replace(position, gone_s=position.gone_s or int(time.time()))])
                else:
                    self._lost[key] = (now + _SEARCH_AGAIN_S, until)
                continue
            if (file.device, file.inode) in self.logs:
                file.close()
                del self._lost[key]
                continue
            self._attach(file, position, left=True)

    def _candidates(self, position: Position) -> Iterator[str]:
        if _lies_at(position.path, (position.device, position.inode)):
            yield position.path
        folder = os.path.dirname(position.path)
        for entry in by_inode(folder, position.inode):
            if entry.path != position.path:
                yield entry.path
        for entry in others_of(position.path):
            if entry.inode() != position.inode:
                yield entry.path

    def adopt_between(self, one: OpenLog) -> None:
        """Call it before anything of a new log is delivered: follow the files that were begun after the log
        that had its name before, and rotated away before anybody saw them."""
        former = self._index.modified_ns.get(one.position.origin)
        if former is None:
            return
        origin = os.path.realpath(one.position.origin)
        base = os.path.basename(origin)
        for entry in others_of(origin):
            if not is_rotated(entry.name, base) or any(t.matches(entry.path) for t in self._targets):
                continue
            try:
                info = entry.stat()
            except OSError:
                continue
            place = (info.st_dev, info.st_ino)
            if place in self.logs or info.st_mtime_ns <= former or info.st_size < _BYTES_MIN:
                continue
            file = self._opened(entry.path, place)
            if file is not None:
                self._adopt(file, one.position.origin, info.st_mtime_ns)

    def _adopt(self, file: FollowedFile, origin: str, modified_ns: int) -> None:
        try:
            is_known = self._known(file) is not None
            head = file.content.read(0, HEAD_BYTES)
        except OSError as error:
            self._complain(file.path, f"{file.path} cannot be read: {error.strerror}.")
            is_known = True
        if is_known:
            file.close()
            return
        position = replace(
            self._first_position(file, origin),
            head=digest_of(head),
            head_bytes=len(head),
            modified_ns=modified_ns,
        )
        # Known from now on, also after a crash: the next rows say that all before them was seen.
        self._positions.note([position])
        self._attach(file, position, left=True)

    def _opened(self, path: str, place: Place | None = None) -> FollowedFile | None:
        """``place``: what the name stood for a moment ago; if it is another file now, the next scan tells."""
        try:
            file = FollowedFile(path)
            if place in (None, (file.device, file.inode)):
                return file
            file.close()
        except CannotFollow as error:
            self._complain(path, str(error))
        except FileNotFoundError:
            pass
        except OSError as error:
            self._complain(path, f"{path} cannot be read: {error.strerror}. Check who may read it (ls -l).")
        return None

    def _complain(self, path: str, sentence: str) -> None:
        if path not in self._complained and len(self._complained) < 10_000:
            self._complained.add(path)
            log.warning("%s", sentence)

    def _tidy(self, seen: Container[Place]) -> None:
        """Forget logs of which nothing was seen for a day."""
        self._tidy_s = self._clock() + 60.0
        now = int(time.time())
        changed: list[Position] = []
        forgotten: list[int] = []
        for one in self._positions.positions.values():
            place = (one.device, one.inode)
            there = one.key in self._open or place in seen or _lies_at(one.path, place)
            if there != (one.gone_s == 0):
                changed.append(replace(one, gone_s=0 if there else now))
            elif one.gone_s and now - one.gone_s > _REMEMBERED_S and one.key not in self._lost:
                forgotten.append(one.key)
        self._positions.note(changed)
        self._positions.forget(forgotten)
        if len(self._examined) > 100_000:
            self._examined.clear()


def _begin_alike(one: FollowedFile, other: FollowedFile) -> bool:
    mine, theirs = one.content.read(0, HEAD_BYTES), other.content.read(0, HEAD_BYTES)
    size = min(len(mine), len(theirs))
    return size > 0 and mine[:size] == theirs[:size]


def _mark(info: os.stat_result) -> tuple[int, int]:
    return info.st_size, info.st_mtime_ns


def _lies_at(path: str, place: Place) -> bool:
    try:
        info = os.stat(path)
    except OSError:
        return False
    return (info.st_dev, info.st_ino) == place
