"""Where a job on the data folder runs: in the running server, or in the store opened here when nobody serves it.

What must stay true: both do the same work (`store.jobs`) and tell of it in the same words. At rest nothing is
dropped: how long rows are kept is the server's to know.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sidelight.data_folder import FolderInUse, FolderLock, RunningServer, find_running
from sidelight.questions import CannotAnswer, call_server

if TYPE_CHECKING:
    from store.engine import Store

Json = dict[str, Any]

FOR_EVER: Json = {"rows_kept_days": 36_500.0, "rows_kept_bytes": 1 << 62, "rollups_kept_days": 36_500.0}


class JobRunner(Protocol):
    is_server: bool

    def start(self, kind: str, options: Json) -> Json:
        """Begin; the job's JSON. Raises CannotAnswer."""

    def current(self) -> Json:
        """The job begun last. Raises CannotAnswer."""


@contextlib.contextmanager
def job_runner(data_dir: Path) -> Iterator[JobRunner]:
    """The running server of ``data_dir``, else the store opened here for the block. Raises CannotAnswer."""
    server = find_running(data_dir)
    if server is not None:
        yield _ServerJobs(server)
        return
    with folder_at_rest(data_dir, **FOR_EVER) as store:
        store.start()
        yield _FolderJobs(store)


def ask_stats(data_dir: Path) -> Json:
    """The JSON of ``/api/store/stats``. Raises CannotAnswer."""
    server = find_running(data_dir)
    if server is not None:
        return json.loads(call_server(server, "/api/store/stats"))
    from store.stats import stats

    with folder_at_rest(data_dir, **_kept_by_the_last_server(data_dir)) as store:
        return stats(store)


@contextlib.contextmanager
def folder_at_rest(data_dir: Path, **settings: Any) -> Iterator[Store]:
    """The store of a folder nobody serves, opened and locked for the block. Raises CannotAnswer."""
    if not data_dir.is_dir():
        raise CannotAnswer(
            f"There is no data folder {data_dir}. Start `sidelight serve` or `sidelight demo`, "
            "or name the folder with --data."
        )
    from store.engine import Store
    from store.errors import StoreError
    from store.settings import StoreSettings

    with locked(data_dir):
        try:
            store = Store(StoreSettings(data_dir=data_dir, **settings))
            store.open()
            try:
                yield store
            finally:
                store.stop()
        except StoreError as error:
            hint = getattr(error, "hint", "")
            raise CannotAnswer(f"{error} {hint}".strip()) from error


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """The folder's lock is ours for the block. Raises CannotAnswer."""
    try:
        lock = FolderLock(data_dir)
    except FolderInUse as error:
        raise CannotAnswer(str(error)) from error
    except OSError as error:
        raise CannotAnswer(
            f"{data_dir} cannot be used: {error.strerror}. Choose another folder with --data."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _kept_by_the_last_server(data_dir: Path) -> Json:
    """What the settings of the server that ran last said of keeping; nothing where none ran."""
    try:
        told = json.loads((data_dir / "run" / "settings.json").read_text(encoding="utf-8"))["store"]
        return {name: told[name] for name in FOR_EVER if name in told}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


class _ServerJobs:
    is_server = True

    def __init__(self, server: RunningServer) -> None:
        self._server = server

    def start(self, kind: str, options: Json) -> Json:
        body = json.dumps({"kind": kind, **options}).encode()
        return json.loads(call_server(self._server, "/api/store/jobs", body))

    def current(self) -> Json:
        return json.loads(call_server(self._server, "/api/store/jobs/current"))


class _FolderJobs:
    is_server = False

    def __init__(self, store: Store) -> None:
        from store.jobs import Jobs

        self._jobs = Jobs(store)

    def start(self, kind: str, options: Json) -> Json:
        return self._jobs.start(kind, options)

    def current(self) -> Json:
        job = self._jobs.current()
        assert job is not None  # `start` was called
        return job
