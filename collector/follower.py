"""The follower's loop: what waits in the files → rows in the journal, each line once.

What must stay true: a delivery is announced (`follow_positions`) before its rows are in the journal, and the
next one begins when they are durable; while the journal is full nothing is read, the files keep what waits;
one delivery holds at most a few megabytes, of as many logs as have something.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from collector.decode.access_log import DecodedChunk
from collector.decode.access_log_fields import Reject
from collector.decode.access_log_rows import last_of_each_connection
from collector.errors import Draining, Overloaded
from collector.follow_files import OpenLog
from collector.follow_lines import READ_BYTES, end_of_lines, goes_on, position_behind, window_start
from collector.follow_positions import Intent, Position, PositionLog
from collector.follow_watch import Watch
from collector.follow_writers import Writers
from collector.followed_file import HEAD_BYTES, State
from collector.metrics import Metrics
from store.frames import Batch, ExportMark
from store.schema import IDENTITIES, OBSERVATIONS, REJECTS

log = logging.getLogger(__name__)

SOURCE = "file"
BATCH_BYTES = 8 << 20
REJECTS_DESCRIBED = 1000  # per log; all are counted


@dataclass(frozen=True)
class Pace:
    """Seconds. A file whose name was taken away may still get a few lines, so it is not ended at once."""

    poll: float = 0.2
    scan: float = 0.5
    last_line: float = 5.0  # until a last line without newline counts as a line
    deleted: float = 30.0  # until a deleted file that gets nothing is closed
    idle: float = 3600.0  # until a renamed one is
    torn: float = 60.0  # until a gzip file that breaks off is given up
    full: float = 0.5  # between two tries while the journal is full


class Journal(Protocol):
    def append(self, batch: Batch) -> Future[int]: ...


@dataclass
class Taken:
    """A range of one log, read and decoded; ``before`` and ``after`` it."""

    before: Position
    after: Position
    decoded: DecodedChunk
    rejects: list[Reject]  # those to be described
    source: str  # their source
    log: OpenLog

    @property
    def is_empty(self) -> bool:
        return not (self.decoded.requests.num_rows or self.decoded.connections.num_rows or self.rejects)


class Follower:
    """``step`` is called at each named step of a delivery; tests die there."""

    def __init__(
        self,
        watch: Watch,
        positions: PositionLog,
        writers: Writers,
        journal: Journal,
        metrics: Metrics,
        stopping: threading.Event,
        pace: Pace | None = None,
        step: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = watch
        self._positions = positions
        self._writers = writers
        self._journal = journal
        self._metrics = metrics
        self._stopping = stopping
        self._pace = pace or Pace()
        self._step = step
        self._clock = clock
        self._scan_s = clock()
        self._waits = False
        self._turns = 0
        metrics.gauge("sidelight_followed_files", "Files followed.", lambda: len(self._watch.logs))
        metrics.gauge("sidelight_followed_behind_bytes", "Bytes in them not read yet.", self._behind_bytes)

    def run(self) -> None:
        """Until ``stopping`` is set."""
        try:
            self.recover()
            while not self._stopping.is_set():
                if not self.turn():
                    self._stopping.wait(self._pace.poll)
        except Draining:
            pass  # the open intent is delivered again at the next start

    def recover(self) -> None:
        """Deliver again what was announced and perhaps not delivered. Raises Draining."""
        intent = self._positions.unsettled
        if intent is None:
            return
        taken = [
            self._read_again(self._positions.positions.get(key) or _unread(after), after, start, end)
            for (key, start, end), after in zip(intent.ranges, intent.after, strict=True)
        ]
        self._deliver(intent, [one for one in taken if one is not None])

    def _read_again(self, before: Position, after: Position, start: int, end: int) -> Taken | None:
        file = self._watch.find(after)
        try:
            if file is not None:
                data = file.content.read(start, end - start)
                return self._decoded(OpenLog(file, replace(before, emitter=after.emitter)), after, data)
            trouble = "the file is gone"
        except OSError as error:
            trouble = error.strerror or str(error)
        finally:
            if file is not None:
                file.close()
        log.warning(
            "%s, bytes %d to %d: %s. These lines were delivered before, or are lost.",
            after.path,
            start,
            end,
            trouble,
        )
        return None

    def turn(self) -> bool:
        """Look at everything once and deliver what is there. True: more is waiting. Raises Draining."""
        now = self._clock()
        if now >= self._scan_s:
            self._watch.scan()
            self._writers.keep(one.position.origin for one in self._watch.logs.values())
            # A folder of thousands of logs is not walked all the time.
            self._scan_s = self._clock() + max(self._pace.scan, 5 * (self._clock() - now))
        taken = list(self._take())
        full = [one for one in taken if not one.is_empty]
        self._advance([one for one in taken if one.is_empty])
        self._positions.note([one.after for one in taken if one.is_empty])
        if full:
            ranges = [(one.after.key, one.before.offset, one.after.offset) for one in full]
            intent = self._intent(ranges, [one.after for one in full])
            self._deliver(intent, full)
            self._advance(full)
        return any(one.read_at is None for one in self._watch.logs.values()) and bool(taken)

    def _intent(self, ranges: list[tuple[int, int, int]], after: list[Position]) -> Intent:
        while True:
            try:
                return self._positions.intend(ranges, after, time.time_ns() // 1000)
            except OSError as error:
                self._wait_for_room(f"The position file cannot be written: {error.strerror}.")

    def _take(self) -> Iterator[Taken]:
        room = BATCH_BYTES
        # Who was read last waits: a log that is far behind does not hold up the others.
        for one in sorted(self._watch.logs.values(), key=lambda one: (one.read_at is None, one.turn)):
            if room <= 0:
                break
            try:
                taken = self._read(one)
            except OSError as error:
                log.warning("%s cannot be read: %s.", one.position.path, error.strerror or error)
                self._watch.finish(one, ended=False)
                continue
            if taken is not None:
                self._turns += 1
                one.turn = self._turns
                room -= taken.after.offset - taken.before.offset
                yield taken

    def _read(self, one: OpenLog) -> Taken | None:
        """What can be taken of one log now. Raises OSError."""
        before, content, state = one.position, one.file.content, one.file.state()
        last_line_due = False
        if state == one.read_at:
            quiet_s = self._clock() - one.changed_s
            last_line_due = one.left and state.size > before.offset and quiet_s >= self._pace.last_line
            if one.file.is_gzip or not last_line_due:
                return self._close_if_over(one, state, quiet_s)
        else:
            one.changed_s = self._clock()
        start = window_start(before)
        window = content.read(start, before.offset - start + READ_BYTES)
        whole = content.whole
        if not goes_on(before, window) or one.file.state().size < state.size:
            self._watch.broke_off(one)
            return None
        data = window[before.offset - start :]
        is_all = len(data) < READ_BYTES
        one.read_at = state if is_all else None
        ended = is_all and (whole or last_line_due)
        size = end_of_lines(before, data, ended)
        if not size:
            if whole:
                self._watch.finish(one, ended=True)
            return None
        after = position_behind(before, window, size, ended)
        if not before.offset and not one.left:
            self._watch.adopt_between(one, window[:HEAD_BYTES])
        return self._decoded(one, replace(after, ended=whole, modified_ns=state.modified_ns), data[:size])

    def _decoded(self, one: OpenLog, after: Position, data: bytes) -> Taken:
        before = one.position
        writer = self._writers.of(before, one.file)
        decoded = writer.decode(before, data)
        rejects = decoded.rejects[: REJECTS_DESCRIBED - before.rejects]
        after = replace(after, emitter=writer.emitter, rejects=before.rejects + len(rejects))
        source = writer.source(data) if rejects else ""
        return Taken(before, after, decoded, rejects, source, one)

    def _close_if_over(self, one: OpenLog, state: State, quiet_s: float) -> Taken | None:
        if one.file.is_gzip and quiet_s >= self._pace.torn:
            after = replace(one.position, ended=True)
            reason = "the gzip file is cut or broken here; what follows cannot be read"
            return Taken(
                one.position, after, DecodedChunk(), [Reject(after.lines + 1, reason, "")], "gzip", one
            )
        if state.names == 0 and quiet_s >= self._pace.deleted:
            self._watch.finish(one, ended=True)
        elif one.left and quiet_s >= self._pace.idle:
            self._watch.finish(one, ended=False)
        return None

    def _deliver(self, intent: Intent, taken: list[Taken]) -> None:
        """Returns when the rows are durable and the position is behind them. Raises Draining."""
        self._step("intended")
        batch = Batch([ExportMark(intent.digest, intent.received_us, SOURCE)], _tables(taken, intent))
        written = 0
        while batch.tables:
            try:
                written = self._journal.append(batch).result()
                break
            except Draining:
                raise
            except Overloaded as error:
                self._wait_for_room(str(error))
        self._step("journalled")
        self._positions.settle()
        self._step("settled")
        self._metrics.journalled(SOURCE, written)
        self._count(taken)

    def _wait_for_room(self, why: str) -> None:
        """Raises Draining when told to stop meanwhile."""
        if not self._waits:
            log.warning("The followed files wait. %s", why)
            self._metrics.braked(SOURCE)
        self._waits = True
        if self._stopping.wait(self._pace.full):
            raise Draining("The follower is shutting down.")

    def _advance(self, taken: list[Taken]) -> None:
        for one in taken:
            one.log.position = one.after
            if one.after.ended:
                self._watch.finish(one.log, ended=True)

    def _count(self, taken: list[Taken]) -> None:
        self._waits = False
        decoded = [one.decoded for one in taken]
        self._metrics.followed_lines(sum(one.lines for one in decoded))
        self._metrics.accepted(
            SOURCE, sum(one.requests.num_rows + one.connections.num_rows for one in decoded)
        )
        self._metrics.rejected(SOURCE, sum(len(one.rejects) for one in decoded))

    def _behind_bytes(self) -> int:
        """From another thread: a copy of what is open."""
        behind = 0
        for one in list(self._watch.logs.values()):
            with contextlib.suppress(OSError):  # closed meanwhile
                behind += 0 if one.file.is_gzip else max(0, one.file.state().size - one.position.offset)
        return behind


def _tables(taken: list[Taken], intent: Intent) -> dict[str, pa.Table]:
    """All rows of one delivery, of export 0."""
    rows = [one.decoded.requests for one in taken]
    rows += [last_of_each_connection(one.decoded.connections) for one in taken]
    rejects = [
        {
            "export": 0,
            "time": intent.received_us,
            "source": one.source,
            "place": f"{one.after.path}:{reject.line}",
            "reason": reject.reason,
            "sample": reject.sample,
        }
        for one in taken
        for reject in one.rejects
    ]
    tables = {
        "observations": pa.concat_tables(rows) if rows else OBSERVATIONS.empty_table(),
        "identities": pa.concat_tables(
            [IDENTITIES.empty_table(), *(one.decoded.identities for one in taken)]
        ),
        "rejects": pa.Table.from_pylist(rejects, schema=REJECTS),
    }
    return {name: table for name, table in tables.items() if table.num_rows}


def _unread(position: Position) -> Position:
    """The same log before anything of it was read."""
    return Position(position.key, position.origin, position.path, position.device, position.inode)
