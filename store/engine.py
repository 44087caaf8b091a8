"""The store's engine: journals in, hot rows and segments out, and a reader's view of both.

What must stay true: a row is seen by every reader exactly once, whatever is being loaded, sealed or
dropped. ``lock`` guards what decides that: the list of slices and segments changes together with
the catalogue's commit, and a reader takes its lists and begins its transaction under the same lock.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from store import recovery
from store.catalogue import Segment, read_delivered, read_sealed_journals, read_segments
from store.database import Cursor, Database, Error, is_fatal
from store.digests import DeliveredBook
from store.errors import StoreFailed
from store.hot import HotSlices, drop_slice, make_hot
from store.journal_files import JournalFile, list_journals, remove_journal
from store.loader import load_batches
from store.published import Publisher
from store.reading import in_window, open_views
from store.registry import refresh_instances
from store.sealing import seal_journal
from store.settings import StoreSettings
from store.sql_worker import SqlLimits, run_statement
from store.statements import sql
from store.status import COUNTED, describe
from store.upkeep import Upkeep

log = logging.getLogger(__name__)

_SEAL_TURN_S = 3.0
_MANY_ROWS = 2048
_TICK_S = 0.5
"""A tick costs 30 ms at least: after one of many rows the next begins so much later, unless a whole one waits."""
_JOURNALS = 24
"""Past so many, the next are opened when finished ones are sealed: each takes some 4 MB, however little it holds."""
_REST = 4
"""With nothing to do, a loader or sealer pauses up to so many times its usual interval."""


def _no_step(name: str) -> None:
    """Called at each named step of a seal; tests replace it to die there."""


class Store:
    """One data folder, opened. ``open`` → (``start`` … ) → ``stop``; methods may be called by any thread."""

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.step: Callable[[str], None] = _no_step
        self.failure: BaseException | None = None
        self.failed = threading.Event()
        self._database: Database | None = None
        self._slices = HotSlices()
        self.segments: list[Segment] = []
        self._sealed: set[str] = set()
        self._files: dict[str, JournalFile] = {}
        self._book = DeliveredBook(settings.delivered_memory_s)
        self._unlinkable: list[str] = []
        self._is_published = False
        self._is_crowded = False
        self._publisher: Publisher | None = None
        self.upkeep = Upkeep(settings, self._swap, lambda name: self.step(name))
        self._loading = threading.Lock()
        self._sealing = threading.Lock()
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._counters = dict.fromkeys(COUNTED, 0)
        self._loaded_at = 0.0
        self._load_seconds = 0.0

    # Life

    def open(self) -> None:
        """Open the folder, creating it if need be. Raises StoreLocked, NewerStore, OlderStore."""
        settings = self.settings
        for folder in (settings.data_dir, settings.journal, settings.segments, settings.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        self._database, lost = recovery.open_catalogue(settings)
        with contextlib.closing(self._database.cursor()) as cursor:
            cursor.execute(sql("load/macros"))
            cursor.execute(sql("macros/saturated"))
            cursor.execute(sql("macros/latency_buckets"))
            cursor.execute(sql("macros/background_of"))
            is_restored = recovery.restore_from_published(self._database, cursor, settings, lost)
            self._sealed = read_sealed_journals(cursor)
            recovery.remove_scratch(settings)
            adopted = recovery.reconcile_segments(cursor, settings, self._sealed, lost, is_restored)
            self._counters |= {"damaged_catalogues": int(bool(lost)), "adopted_rows": adopted}
            make_hot(self._database, cursor)
            refresh_instances(cursor)
            self.segments = read_segments(cursor)
            self.upkeep.check_sizes(cursor, self.segments)
            self.upkeep.trace_filters.read(cursor)
            read_delivered(cursor, self._book)
        self._publisher = Publisher(self._database, settings)
        self._is_published = settings.published.exists() and not lost

    def start(self) -> None:
        """Load and seal in threads of their own from now on."""
        for name, work in (("loader", self._load_waiting), ("sealer", self._seal_waiting)):
            thread = threading.Thread(target=self._run, args=(name, work), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End the threads and close. What is not sealed stays in the journal."""
        self.stopping.set()
        for thread in self._threads:
            thread.join(timeout=30)
        self._threads.clear()
        for file in self._files.values():
            file.close()
        if self._database is not None:
            with contextlib.suppress(Exception), contextlib.closing(self._database.cursor()) as cursor:
                cursor.execute("CHECKPOINT catalogue")
            self._database.close()
            self._database = None

    def _run(self, name: str, work: Callable[[], int]) -> None:
        often = pause = self.settings.poll_interval_s
        while not self.stopping.is_set():
            try:
                did = work()
                # Who finds nothing looks less often: a store at rest should not keep a laptop awake.
                pause = often if did else min(pause * 2, often * _REST)
            except Exception as error:
                if self.stopping.is_set() or self._has_failed(error):
                    return
                log.exception("the %s failed; it tries again", name)
                did, pause = 0, min(pause * 2, 5.0)
                self._forget_gone_files(error)
            if not did:
                self.stopping.wait(pause)

    def _has_failed(self, error: BaseException) -> bool:
        """Can the store not go on in this process? The next one reads all of the catalogue first."""
        if is_fatal(error):
            log.critical("the store has to be opened again: %s", error)
            recovery.note_doubt(self.settings)
            self.failure = error
            self.failed.set()
        return self.failure is not None

    def _forget_gone_files(self, error: Exception) -> None:
        if isinstance(error, FileNotFoundError):
            with self.lock:
                present = set(list_journals(self.settings.journal))
                for name in [name for name in self._files if name not in present]:
                    self._files.pop(name).close()

    # Loading

    def poll_once(self, seal: bool | None = None) -> int:
        """Load everything the journal holds (returns the rows); seal what is finished on ``seal``, or unthreaded."""
        total = 0
        while True:
            frames, rows = self._load_tick()
            total += rows
            if not frames:
                if not self._is_crowded:
                    break
                self.seal(all=True)
        if seal or (seal is None and not self._threads):
            self.seal(all=True)
        return total

    def _load_waiting(self) -> int:
        if self._slices.rows() > self.settings.hot_rows and self._next_to_seal() is not None:
            return 0
        begun = time.monotonic()
        frames, rows = self._load_tick()
        left_bytes = sum(file.left for file in list(self._files.values()))
        is_behind = left_bytes >= self.settings.tick_bytes
        # Whoever fills the journal faster than it is loaded has both processors busy: more threads only cost.
        self.database.use_threads(1 if is_behind else self.settings.threads)
        if rows >= _MANY_ROWS and not is_behind:
            self.stopping.wait(max(0.0, begun + _TICK_S - time.monotonic()))
        return frames

    def _load_tick(self) -> tuple[int, int]:
        """(frames, rows) loaded: at most ``tick_bytes`` of each journal, of each writer's journals in order.

        A writer's next journal begins when the one before is read: else a loader that lags behind would have a
        part of each in memory, and none to seal.
        """
        with self._loading, contextlib.closing(self.database.cursor()) as cursor:
            frames = rows = 0
            started = time.perf_counter()
            unread: set[str] = set()
            self._is_crowded = False
            for name in list_journals(self.settings.journal):
                if self.stopping.is_set():
                    break
                if name in self._sealed:
                    self._note_unlinkable(name)
                    continue
                file = self._files.get(name)
                if file is None:
                    if len(self._files) >= _JOURNALS and any(one.finished for one in self._files.values()):
                        self._is_crowded = True
                        continue
                    file = self._files[name] = JournalFile(self.settings.journal / name)
                if file.exhausted or file.writer in unread:
                    continue
                batches, after = file.read(self.settings.tick_bytes)
                if batches:
                    rows += self._load(cursor, file, batches, after)
                    frames += len(batches)
                    self.step("loaded")
                if file.left:
                    unread.add(file.writer)
            self._loaded_at = time.monotonic()
            if frames:
                self._load_seconds += time.perf_counter() - started
            self._drop_left(cursor)
            return frames, rows

    def _load(self, cursor: Cursor, file: JournalFile, batches: list[Any], after: int) -> int:
        with self.lock:
            slice_ = self._slices.of_journal(file.name)
        tick = load_batches(cursor, slice_, batches, self._book, self.lock, lambda: file.advance(after))
        self._counters["loaded_rows"] += tick.rows()
        self._counters["repeated_exports"] += tick.repeated
        return tick.rows()

    def _note_unlinkable(self, name: str) -> None:
        with self.lock:
            if name not in self._unlinkable:
                self._unlinkable.append(name)
                self._is_published = False

    def _drop_left(self, cursor: Cursor) -> None:
        with self.lock:
            ready = self._slices.droppable()
        for slice_ in ready:
            drop_slice(cursor, slice_)

    # Sealing

    def seal(self, all: bool = False) -> int:
        """Seal finished, fully loaded journals for a few seconds (``all``: every one). Returns how many."""
        sealed = 0
        # A publishing costs as much as the seal of a small journal: one for all that wait.
        until = time.monotonic() + _SEAL_TURN_S
        with self._sealing:
            while (file := self._next_to_seal()) is not None and not self.stopping.is_set():
                self._seal(file)
                sealed += 1
                if not all and time.monotonic() > until:
                    break
            self._publish_and_unlink()
        return sealed

    def _seal_waiting(self) -> int:
        if self.upkeep.is_due() and self._next_to_seal() is None:
            return self.tidy(once=True)
        return 0 if self._next_to_seal() is None and self._is_published else self.seal(all=False)

    def tidy(self, now: datetime | None = None, once: bool = False) -> int:
        """Merge small segments, drop old ones (``store.upkeep``); returns in how many steps."""
        steps = 0
        with self._sealing, contextlib.closing(self.database.cursor()) as cursor:
            while not self.stopping.is_set() and self.upkeep.turn(cursor, self.segments, now):
                steps += 1
                if once:
                    break
            self._publish_and_unlink()
        return steps

    def _swap(self, gone: list[Segment], new: list[Segment], do_commit: Callable[[], None]) -> None:
        with self.lock:
            do_commit()
            self.segments = [one for one in self.segments if one not in gone] + new
            self._is_published = False

    def _next_to_seal(self) -> JournalFile | None:
        with self.lock:
            waiting = (one for name, one in self._files.items() if one.exhausted and name not in self._sealed)
            return next(waiting, None)

    def _seal(self, file: JournalFile) -> None:
        with self.lock:
            slice_ = self._slices.of_journal(file.name)
        with contextlib.closing(self.database.cursor()) as cursor:

            def commit(segments: list[Segment], do_commit: Callable[[], None]) -> None:
                with self.lock:
                    do_commit()
                    self.segments = [*self.segments, *segments]
                    self._sealed.add(file.name)
                    self._slices.leave(file.name)
                    self._is_published = False

            seal_journal(cursor, self.settings, slice_, file, self._book, commit, self.step)
            self._drop_left(cursor)
        self.step("slice_dropped")
        self.database.checkpoint(self.settings.catalogue, "catalogue")
        self._counters["sealed_journals"] += 1
        self._counters["torn_bytes"] += file.torn_bytes
        self._counters["damaged_journal_bytes"] += file.damaged_bytes
        with self.lock:
            self._unlinkable.append(file.name)
            self._files.pop(file.name, None)
        file.close()

    def _publish_and_unlink(self) -> None:
        with self.lock:
            if self._is_published:
                return
            segments, unlinkable = list(self.segments), list(self._unlinkable)
            self._is_published = True
        try:
            assert self._publisher is not None
            self._publisher.publish(segments, self.step)
        except BaseException as error:
            self._is_published = False
            self.upkeep.suspect(error, segments)
            self._has_failed(error)
            raise
        for name in unlinkable:
            remove_journal(self.settings.journal / name)
            self.step("journal_unlinked")
        with self.lock:
            self._unlinkable = [name for name in self._unlinkable if name not in unlinkable]

    # Reading

    @contextlib.contextmanager
    def reader(
        self, from_time: datetime | None = None, to_time: datetime | None = None, trace: UUID | None = None
    ) -> Iterator[Cursor]:
        """A cursor on which the relations of ``store.reading`` exist for [from_time, to_time) (None: open;
        naive means UTC): a superset of the window's rows (of spans only those of ``trace``, where given), in
        one snapshot, until the block ends. Anything else made on the cursor in the block is rolled back.
        """
        cursor = self.database.cursor()
        held, segments = [], list[Segment]()
        try:
            with self.lock:
                held = self._slices.retain()
                segments = self.segments
                if trace is not None:
                    segments = self.upkeep.trace_filters.choose(segments, trace)
                # A DuckDB transaction looks at a database only from its first use of it.
                cursor.execute("BEGIN TRANSACTION")
                cursor.execute("SELECT 1 FROM hot.empty_activity, catalogue.about LIMIT 0")
            open_views(cursor, self.settings, held, segments, from_time, to_time)
            yield cursor
        except Error as error:
            self.upkeep.suspect(error, in_window(segments, from_time, to_time))
            self._has_failed(error)
            raise
        finally:
            with contextlib.suppress(Exception):
                cursor.execute("ROLLBACK")
            cursor.close()
            with self.lock:
                self._slices.release(held)

    @property
    def database(self) -> Database:
        if self.failure is not None:
            raise StoreFailed(str(self.failure))
        if self._database is None:
            raise StoreFailed("the store is closed")
        return self._database

    def known_imports(self, digests: list[str]) -> set[str]:
        """Those of ``digests`` (hex) whose import is loaded; imports are remembered for ever."""
        return {digest for digest in digests if self._book.is_import_known(digest)}

    def sql(self, statement: str, format: str = "json") -> bytes:
        """One ad-hoc statement in a worker process (see ``store.sql_worker``). Raises BadQuery."""
        return run_statement(self.settings.data_dir, statement, format, SqlLimits.of(self.settings))

    def status(self) -> dict[str, Any]:
        """Numbers of the store itself, for /metrics and /api/health."""
        with self.lock:
            return describe(
                self.settings,
                self._slices.all(),
                self.segments,
                list(self._files.values()),
                self._sealed,
                self._counters | self.upkeep.counters,
                loaded_at=self._loaded_at,
                load_seconds=self._load_seconds,
                failure=self.failure,
            )
