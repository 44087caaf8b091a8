"""What the store does for itself when nothing has to be sealed: merge small segments, drop old ones, unlink, and
make the filters that find a trace.

What must stay true: each step is one transaction of the catalogue, and the engine's list of segments changes with
its commit; a segment that cannot be read is set aside, and stops nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from store import compaction, retention, rollup, rollup_files
from store.catalogue import Segment, forget_sealed_journals, record_segments, utc_now
from store.database import NOT_OF_FILES, Cursor, Error, raise_if_fatal, transaction
from store.dropped_minutes import minutes_of, note_dropped
from store.journal_files import list_journals
from store.physical import ROLLUPS
from store.quarantine import Swap, set_aside, why_broken
from store.reading import in_window
from store.retired import retire, unlink_retired
from store.settings import StoreSettings
from store.trace_filters import TraceFilters

_LOOK_S = 30.0
_HOUR_S = 3600.0


class Upkeep:
    """``due`` says whether to look; ``turn`` does one step at most."""

    def __init__(self, settings: StoreSettings, swap: Swap, step: Callable[[str], None]) -> None:
        self._settings = settings
        self._swap = swap
        self._step = step
        self._suspects: set[str] = set()
        self.trace_filters = TraceFilters(settings.data_dir)
        self._look_at = time.monotonic() + _LOOK_S
        self._forget_at = 0.0
        self._rolled_out: datetime | None = None
        self.broken: dict[str, str] = {}
        """Segments set aside since the folder was opened, and why."""
        self.keeps_retired = False
        """Somebody is copying or reading whole segments: no file is unlinked."""
        self.counters = {"merged_segments": 0, "dropped_segments": 0, "dropped_rows": 0, "dropped_bytes": 0}
        self.counters |= {"quarantined_segments": 0, "quarantined_rows": 0}

    def is_due(self) -> bool:
        return bool(self._suspects) or time.monotonic() >= self._look_at

    def suspect(self, error: BaseException, segments: list[Segment]) -> None:
        """A statement over ``segments`` failed: they are read whole next. DuckDB does not always say which one."""
        if isinstance(error, Error) and not isinstance(error, NOT_OF_FILES):
            text = str(error)
            named = {segment.path for segment in segments if segment.path in text}
            self._suspects |= named or {segment.path for segment in segments}

    def doubt(self, path: str) -> None:
        """The segment (path below the data folder) is read whole next."""
        self._suspects.add(path)

    def check_sizes(self, cursor: Cursor, segments: list[Segment]) -> None:
        """Set aside those that are gone or of another size than they were sealed with: a start cannot read them all."""
        paths = [(one, self._settings.data_dir / one.path) for one in segments]
        strange = [one for one, path in paths if not path.exists() or path.stat().st_size != one.bytes]
        self.check(cursor, strange, deep=False)

    def check(self, cursor: Cursor, segments: list[Segment], deep: bool) -> dict[str, str]:
        """Read ``segments`` and set those aside that cannot be. Returns their paths and what is wrong."""
        broken = {
            one.path: why for one in segments if (why := why_broken(self._settings.data_dir, one, deep))
        }
        if broken:
            rows = set_aside(cursor, self._settings, broken, segments, self._swap)
            self.broken |= broken
            self.counters["quarantined_segments"] += len(broken)
            self.counters["quarantined_rows"] += rows
        return broken

    def turn(self, cursor: Cursor, segments: list[Segment], now: datetime | None = None) -> bool:
        """One merge, drop, filter or unlinking at ``now`` (naive UTC). False: there was nothing to do."""
        now = now or utc_now()
        if self._suspects:
            suspects, self._suspects = self._suspects, set()
            self.check(cursor, [one for one in segments if one.path in suspects], deep=True)
            return True
        did = (
            self._drop(cursor, segments, now)
            or self._merge(cursor, segments, now)
            or self._roll_up(cursor, segments, now)
        )
        did = did or self._forget(cursor, segments, now) or self._filter(cursor, segments)
        if not self.keeps_retired:
            before = now - timedelta(seconds=self._settings.retired_kept_s)
            did = bool(unlink_retired(cursor, self._settings, before)) or did
        if not did:
            self._look_at = time.monotonic() + _LOOK_S
        return did

    def _drop(self, cursor: Cursor, segments: list[Segment], now: datetime) -> bool:
        gone = retention.expired(segments, self._settings, now)
        if not gone:
            return False
        minutes = minutes_of(self._settings.data_dir, gone)
        with transaction(cursor, lambda do_commit: self._swap(gone, [], do_commit)):
            retire(cursor, gone, now)
            self.trace_filters.forget(cursor, gone)
            note_dropped(cursor, minutes)
            self._step("before_drop_commit")
        self._step("dropped")
        self.counters["dropped_segments"] += len(gone)
        self.counters["dropped_rows"] += sum(segment.rows for segment in gone)
        self.counters["dropped_bytes"] += sum(segment.bytes for segment in gone)
        return True

    def _merge(self, cursor: Cursor, segments: list[Segment], now: datetime) -> bool:
        group = compaction.mergeable(segments, now)
        if not group:
            return False
        try:
            merged = compaction.merge(cursor, self._settings.data_dir, group, self._step)
        except (Error, OSError, ValueError) as error:
            raise_if_fatal(error)
            if not self.check(cursor, group, deep=True):
                raise
            return True
        with transaction(cursor, lambda do_commit: self._swap(group, [merged], do_commit)):
            retire(cursor, group, now)
            self.trace_filters.forget(cursor, group)
            record_segments(cursor, [merged], now)
            self._step("before_merge_commit")
        self._step("merged")
        self.counters["merged_segments"] += len(group)
        return True

    def _roll_up(self, cursor: Cursor, segments: list[Segment], now: datetime) -> bool:
        """The counts of one span's minutes as one; once all are, an hour's counts as segments."""
        span = rollup.next_span(cursor, now)
        if span is None:
            return self._roll_out(cursor, now)
        met = in_window(segments, span[1], span[1] + timedelta(minutes=span[0]))
        try:
            with transaction(cursor):
                rollup.merge_span(
                    cursor,
                    *span,
                    everywhere=lambda table: rollup_files.everywhere(table, self._settings.data_dir, met),
                )
                self._step("before_rollup_commit")
        except Error as error:
            raise_if_fatal(error)
            if not self.check(cursor, [one for one in met if one.table in ROLLUPS], deep=True):
                raise
            return True
        self._step("rolled_up")
        return True

    def _roll_out(self, cursor: Cursor, now: datetime) -> bool:
        """Counts of past hours leave the catalogue, once an hour: what is late goes with the next."""
        until = rollup_files.settled_until(now)
        if self._rolled_out == until:
            return False
        written = rollup_files.write_past(cursor, self._settings.data_dir, until, self._step)
        if written:
            with transaction(cursor, lambda do_commit: self._swap([], written, do_commit)):
                rollup_files.forget_past(cursor, written, until, now)
                self._step("before_roll_out_commit")
            self._step("rolled_out")
        self._rolled_out = until
        return bool(written)

    def _filter(self, cursor: Cursor, segments: list[Segment]) -> bool:
        """The filter of one segment's trace ids."""
        segment = self.trace_filters.without(segments)
        if segment is None:
            return False
        try:
            self.trace_filters.add(cursor, segment)
        except Error as error:
            raise_if_fatal(error)
            if not self.check(cursor, [segment], deep=True):
                raise
        return True

    def _forget(self, cursor: Cursor, segments: list[Segment], now: datetime) -> bool:
        """Days of counts and names of sealed journals, once an hour."""
        if time.monotonic() < self._forget_at:
            return False
        self._forget_at = time.monotonic() + _HOUR_S
        gone = retention.forgettable(segments, self._settings, now)
        with transaction(cursor, lambda do_commit: self._swap(gone, [], do_commit)):
            retire(cursor, gone, now)
            forgotten = retention.forget_days(cursor, self._settings, now)
            forget_sealed_journals(cursor, now - timedelta(days=1), list_journals(self._settings.journal))
        return bool(gone) or forgotten > 0
