"""Which files are followed just now: found by glob, recognised by content, kept through rotation.

What must stay true: a log is read through one file at a time, and two files of one log (renamed, copied,
compressed) never count as two logs; a log whose file was renamed, truncated under a copy or compressed goes on
where it was, in whatever holds the rest; while its handle is open, a deleted file is read to its end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import replace

from collector.follow_files import (
    BYTES_MIN,
    Found,
    Index,
    Opener,
    OpenLog,
    Place,
    are_one_log,
    begins_with,
    candidates,
    found_files,
    lies_at,
    mark,
)
from collector.follow_positions import Position, PositionLog
from collector.follow_targets import FollowTarget
from collector.followed_file import HEAD_BYTES, FollowedFile, digest_of
from collector.rotated_names import by_inode, is_rotated, others_of

_SEARCH_AGAIN_S = 5.0
_SEARCHED_FOR_S = 60.0
_REMEMBERED_S = 24 * 3600


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
        self._built: Index | None = None
        self._targets = targets
        self._positions = positions
        self._clock = clock
        self._examined: dict[Place, tuple[int, int]] = {}  # nothing to read there at this size and time
        self._opener = Opener()
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
        for found in found_files(self._targets):
            place = (found.info.st_dev, found.info.st_ino)
            origins[found.origin] = place
            seen.setdefault(place, found)
        for one in list(self.logs.values()):
            self._see(one, seen.get(one.place), origins)
        new = {
            place: found
            for place, found in seen.items()
            if place not in self.logs and self._examined.get(place) != mark(found.info)
        }
        # Where a log was last seen comes before what may be a copy of it.
        for place, found in sorted(new.items(), key=lambda item: self._strangeness(*item)):
            self._meet(place, found)
        self._search_lost()
        if self._clock() > self._tidy_s:
            self._tidy(seen)

    @property
    def _index(self) -> Index:
        """Built at most once a scan, and only when something is to be looked up."""
        if self._built is None:
            self._built = Index(self._positions.positions.values())
        return self._built

    def find(self, position: Position) -> FollowedFile | None:
        """The file that holds a log up to this position: by its place, else by content. Opened."""
        for path in candidates(position):
            file = self._opener.open(path)
            if file is None:
                continue
            if file.begins_like(position) and file.holds(position):
                return file
            file.close()
        return None

    def broke_off(self, one: OpenLog) -> None:
        """The file does not hold any more what was read of it: it was truncated, or written anew."""
        self._detach(one)
        if one.position.key in self._positions.positions:
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

    def _see(self, one: OpenLog, found: Found | None, origins: dict[str, Place]) -> None:
        """What became of an open file's name."""
        one.left = origins.get(one.position.origin) != one.place and not lies_at(
            one.position.origin, one.place
        )
        if found is not None:
            path: str | None = found.path
        elif lies_at(one.position.path, one.place):
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
            if lies_at(entry.path, one.place):
                return entry.path
        return None

    def _strangeness(self, place: Place, found: Found) -> int:
        if place in self._index.by_place:
            return 0
        return 1 if found.path in self._index.paths else 2

    def _meet(self, place: Place, found: Found) -> None:
        """A file that is not open: part of a log we know, or a new one."""
        file = self._opener.open(found.path, place)
        if file is None:
            return
        try:
            known = self._known(file)
            is_copy = known is not None and (known.key in self._open or known.ended or not file.holds(known))
        except OSError as error:
            self._opener.complain(found.path, f"{found.path} cannot be read: {error.strerror}.")
            known, is_copy = None, True
        if is_copy:  # of what is read elsewhere, or was
            if known is None or known.head_bytes:
                self._examined[place] = mark(found.info)
            # Else its log may be truncated before anything was read of it, and this is all there is: look again.
            file.close()
            if known is not None and known.ended:
                self._positions.note([replace(known, device=place[0], inode=place[1], path=found.path)])
        else:
            self._attach(file, known or self._first_position(file, found.origin))

    def _known(self, file: FollowedFile) -> Position | None:
        """The log whose content this file has, or the beginning of it."""
        shorter: Position | None = None
        for one in self._index.may_hold(file):
            if not file.begins_like(one):
                continue
            if one.key in self._open or one.ended or file.holds(one):
                return one
            if (one.device, one.inode) != (file.device, file.inode):
                shorter = one  # less than what was read: a copy that is still being written
        return shorter or self._unread_like(file)

    def _unread_like(self, file: FollowedFile) -> Position | None:
        """An open log of which nothing was taken yet, so that no position says what it begins with."""
        for one in self.logs.values():
            is_other = one.place != (file.device, file.inode) and are_one_log(one.position.path, file.path)
            if (
                not one.position.offset
                and is_other
                and begins_with(file, one.file.content.read(0, HEAD_BYTES))
            ):
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
            if file is not None and (file.device, file.inode) in self.logs:
                file.close()
                file = None
            if file is None:
                if now >= until:
                    del self._lost[key]
                    self._positions.note([replace(position, gone_s=position.gone_s or int(time.time()))])
                else:
                    self._lost[key] = (now + _SEARCH_AGAIN_S, until)
                continue
            self._attach(file, position, left=True)

    def adopt_between(self, one: OpenLog, head: bytes) -> None:
        """Call it before anything of a new log is delivered, with what was read of its beginning: follow the
        files that were begun after the log that had its name before, and rotated away before anybody saw them."""
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
            if place in self.logs or info.st_mtime_ns <= former or info.st_size < BYTES_MIN:
                continue
            file = self._opener.open(entry.path, place)
            if file is not None:
                self._adopt(file, one.position.origin, info.st_mtime_ns, head)

    def _adopt(self, file: FollowedFile, origin: str, modified_ns: int, read: bytes) -> None:
        try:
            # By what was read, not by the log's file: that may have been truncated under this copy since.
            is_known = begins_with(file, read) or self._known(file) is not None
            head = file.content.read(0, HEAD_BYTES)
        except OSError as error:
            self._opener.complain(file.path, f"{file.path} cannot be read: {error.strerror}.")
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

    def _tidy(self, seen: Container[Place]) -> None:
        """Forget logs of which nothing was seen for a day."""
        self._tidy_s = self._clock() + 60.0
        now = int(time.time())
        changed: list[Position] = []
        forgotten: list[int] = []
        for one in self._positions.positions.values():
            place = (one.device, one.inode)
            there = one.key in self._open or place in seen or lies_at(one.path, place)
            if there != (one.gone_s == 0):
                changed.append(replace(one, gone_s=0 if there else now))
            elif one.gone_s and now - one.gone_s > _REMEMBERED_S and one.key not in self._lost:
                forgotten.append(one.key)
        self._positions.note(changed)
        self._positions.forget(forgotten)
        if len(self._examined) > 100_000:
            self._examined.clear()
