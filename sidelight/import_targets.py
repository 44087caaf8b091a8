"""Where an import goes: the running server's journal, or the store opened here when nobody serves it.

What must stay true: both answer the same question (which digests are known), so that a file imported with a
server running is recognised without one, and the other way round.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Protocol

from sidelight.data_folder import FolderInUse, FolderLock, RunningServer, find_running
from sidelight.questions import CannotAnswer, call_server
from sidelight.store_jobs import FOR_EVER

DIGESTS_PER_CALL = 1000
_VISIBLE_WAIT_S = 30.0
_TICK_BYTES = 16 * 1024 * 1024


class NoTarget(RuntimeError):
    """A sentence: why nothing can be imported here now, and what to do."""


class ImportTarget(Protocol):
    @property
    def journal_dir(self) -> Path: ...

    def known_digests(self, digests: list[str]) -> set[str]:
        """Which of these were imported before. Raises NoTarget."""

    def make_room(self) -> None:
        """The journal is full: let it be emptied, or wait a little."""

    def finish(self, names: list[str], last_digest: str | None) -> None:
        """Return when the rows of these closed journal files are in every answer."""

    def close(self) -> None: ...


def open_target(data_dir: Path) -> ImportTarget:
    """The running server of ``data_dir``, else the store itself. Raises NoTarget."""
    server = find_running(data_dir)
    return ServerTarget(server, data_dir) if server is not None else StoreTarget(data_dir)


class ServerTarget:
    """The server loads what appears in its journal; only the question about digests goes through the API."""

    def __init__(self, server: RunningServer, data_dir: Path) -> None:
        self._server = server
        self.journal_dir = data_dir / "journal"

    def known_digests(self, digests: list[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(digests), DIGESTS_PER_CALL):
            body = json.dumps({"digests": digests[start : start + DIGESTS_PER_CALL]}).encode()
            try:
                answer = json.loads(call_server(self._server, "/api/import/known", body))
            except CannotAnswer as error:
                raise NoTarget(str(error)) from error
            found.update(answer["known"])
        return found

    def make_room(self) -> None:
        time.sleep(0.5)

    def finish(self, names: list[str], last_digest: str | None) -> None:
        deadline = time.monotonic() + _VISIBLE_WAIT_S
        while last_digest and time.monotonic() < deadline:
            if self.known_digests([last_digest]):
                return
            time.sleep(0.1)

    def close(self) -> None:
        pass


class StoreTarget:
    """No server runs: the folder is locked, opened, and what was imported is loaded and sealed here."""

    def __init__(self, data_dir: Path) -> None:
        from store.engine import Store
        from store.errors import StoreError
        from store.settings import StoreSettings

        try:
            self._lock = FolderLock(data_dir)
        except FolderInUse as error:
            raise NoTarget(str(error)) from error
        except OSError as error:
            raise NoTarget(
                f"{data_dir} cannot be used: {error.strerror}. Choose another folder with --data."
            ) from error
        self.journal_dir = data_dir / "journal"
        try:
            # One thread of DuckDB's: the other processor reads lines meanwhile. Nobody asks, so much is loaded at once:
            # what a transaction adds beyond 122,880 rows DuckDB does not copy at its end.
            settings = StoreSettings(data_dir=data_dir, threads=1, tick_bytes=_TICK_BYTES, **FOR_EVER)
            self._store: Any = Store(settings)
            self._store.open()
            self._store.poll_once(seal=False)  # what was imported before and not sealed is known too
            self._store.start()
        except StoreError as error:
            self._lock.release()
            raise NoTarget(str(error)) from error

    def known_digests(self, digests: list[str]) -> set[str]:
        return set(self._store.known_imports(digests))

    def make_room(self) -> None:
        time.sleep(0.5)

    def finish(self, names: list[str], last_digest: str | None) -> None:
        """A finished file is gone from the journal once it is sealed. Raises NoTarget.

        What is left when the store no longer gets on is loaded again by whoever opens the folder next.
        """
        seen, deadline = None, 0.0
        while left := [name for name in names if (self.journal_dir / name).exists()]:
            if self._store.failure is not None:
                raise NoTarget(f"The rows are kept in the journal, but: {self._store.failure}")
            now = (left, self._store.status()["loaded_rows"])
            if now != seen:
                seen, deadline = now, time.monotonic() + _VISIBLE_WAIT_S
            elif time.monotonic() > deadline:
                return
            time.sleep(0.05)

    def close(self) -> None:
        self._store.stop()
        self._lock.release()
