"""Long work on the store, one job at a time in a thread of its own: seal, compact, verify, backup.

What must stay true: a job never stops loading, sealing or answering; a second one is refused with a sentence; how
one ended is told until the next begins.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store import backup, compaction
from store.catalogue import utc_now
from store.errors import BadQuery, StoreError
from store.graph import rfc3339
from store.physical import ROLLUPS
from store.quarantine import why_broken
from store.seal_now import Tell, seal_acknowledged

if TYPE_CHECKING:
    from store.engine import Store

log = logging.getLogger(__name__)

Json = dict[str, Any]

KINDS = ("seal", "compact", "verify", "backup")
_SHOWN_BROKEN = 20
_BREATH_S = 0.01
"""Between two steps of a job: whoever waits to seal has its turn."""


class JobStopped(StoreError):
    """The store is being closed."""


@dataclass
class Job:
    """One job, as its asker sees it. ``total`` 0: not known yet."""

    number: int
    kind: str
    state: str = "running"  # 'running' | 'done' | 'failed'
    done: int = 0
    total: int = 0
    message: str = ""
    result: Json | None = None
    started_at: datetime = field(default_factory=utc_now)

    def as_json(self) -> Json:
        names = ("number", "kind", "state", "done", "total", "message", "result")
        return {name: getattr(self, name) for name in names} | {"started_at": rfc3339(self.started_at)}


class Jobs:
    """The jobs of one store that is started."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._job: Job | None = None

    def start(self, kind: str, options: Mapping[str, Any]) -> Json:
        """Begin a job; its JSON. Raises BadQuery: another runs, or it cannot be done so."""
        work = self._work(kind, options)
        with self._lock:
            if self._job is not None and self._job.state == "running":
                raise BadQuery(
                    "job_running",
                    f"A job is under way already ({self._job.kind}).",
                    "Wait until it is done: GET /api/store/jobs/current tells how far it is.",
                )
            job = self._job = Job((self._job.number if self._job else 0) + 1, kind)
        threading.Thread(target=self._run, args=(job, work), name=f"job-{kind}", daemon=True).start()
        return job.as_json()

    def current(self) -> Json | None:
        """The running job, or the last one; None if there was none."""
        job = self._job
        return None if job is None else job.as_json()

    def _work(self, kind: str, options: Mapping[str, Any]) -> Callable[[Tell], Json]:
        if kind not in KINDS:
            raise BadQuery("bad_kind", f"There is no job {kind[:40]!r}.", f"One of {', '.join(KINDS)}.")
        if kind == "backup":
            folder = options.get("to")
            if not isinstance(folder, str) or not Path(folder).is_absolute() or "\0" in folder:
                raise BadQuery("bad_folder", "A backup needs a folder.", 'Send {"to": "/absolute/path"}.')
            target = backup.check_target(Path(folder), self._store.settings)
            return lambda tell: backup.write_backup(self._store, target, tell)
        works = {"seal": seal, "compact": compact, "verify": verify}
        return lambda tell: works[kind](self._store, tell)

    def _run(self, job: Job, work: Callable[[Tell], Json]) -> None:
        def tell(done: int, total: int, message: str) -> None:
            if self._store.stopping.is_set():
                raise JobStopped("The server is being stopped; start the command again.")
            job.done, job.total, job.message = done, total, message

        try:
            result = work(tell)
        except StoreError as error:
            job.message = f"{error} {error.hint}" if isinstance(error, BadQuery) else str(error)
        except OSError as error:
            job.message = (
                f"{error.filename or 'A file'}: {error.strerror}. Make room or mend it, and try again."
            )
        except Exception as error:
            if not self._store.stopping.is_set():
                log.exception("the job %s failed", job.kind)
            job.message = f"It failed ({type(error).__name__}: {str(error)[:300]}); the log says where."
        else:
            job.result, job.state, job.message = result, "done", ""
            return
        job.state = "failed"


def seal(store: Store, tell: Tell) -> Json:
    """Everything acknowledged before is sealed."""
    return {"sealed_journals": seal_acknowledged(store, tell)}


def compact(store: Store, tell: Tell, now: datetime | None = None) -> Json:
    """Seal, then merge the small segments of past hours and drop what is too old. ``now``: naive UTC."""
    result = seal(store, tell)
    counters = store.upkeep.counters
    before = dict(counters)
    total = sum(len(group) for group in compaction.groups(store.segments, now or utc_now()))
    merged = 0
    while True:
        tell(min(merged, total), total, "merging small segments")
        if not store.tidy(now, once=True):
            break
        merged = counters["merged_segments"] - before["merged_segments"]
        time.sleep(_BREATH_S)
    return result | {name: counters[name] - before[name] for name in counters}


def verify(store: Store, tell: Tell) -> Json:
    """Read every segment whole; what is broken is set aside, counted and named."""
    upkeep = store.upkeep
    upkeep.keeps_retired = True
    try:
        before = {
            "segments": upkeep.counters["quarantined_segments"],
            "rows": upkeep.counters["quarantined_rows"],
        }
        segments = store.segments
        total = sum(segment.bytes for segment in segments)
        done = 0
        broken = []
        for segment in segments:
            tell(done, total, f"reading {segment.path}")
            if why_broken(store.settings.data_dir, segment, deep=True):
                upkeep.doubt(segment.path)
                store.tidy(once=True)
            if segment.path in upkeep.broken:  # not one that was merged meanwhile
                broken.append(segment)
            done += segment.bytes
    finally:
        upkeep.keeps_retired = False
    return {
        "segments": len(segments),
        "rows": sum(segment.rows for segment in segments if segment.table not in ROLLUPS),
        "bytes": total,
        "broken_segments": len(broken),
        "broken_rows": sum(segment.rows for segment in broken if segment.table not in ROLLUPS),
        "broken": [
            {"path": one.path, "rows": one.rows, "reason": upkeep.broken[one.path]}
            for one in broken[:_SHOWN_BROKEN]
        ],
        "set_aside_before": before,
    }
