"""How long a question may take, and what happens when DuckDB does not even hear that it is over.

DuckDB 1.5 was seen to wait for itself for ever on one form of our graph's SQL (no processor time, interrupts not
heard). What must stay true: a question that is too long ends with a sentence; one that cannot be ended is seen by
`is_stuck`, and whoever runs the process ends that: nothing acknowledged is lost with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from store.database import Cursor, Interrupted
from store.errors import BadQuery

_GRACE_S = 60.0
_AGAIN_S = 0.01


class TimeLimit:
    """Of all questions of a store; safe to use from any thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._begun: dict[int, float] = {}
        self._lock = threading.Lock()
        self._next = 0

    @contextmanager
    def on(self, cursor: Cursor) -> Iterator[None]:
        """End what ``cursor`` does in the block when it takes too long. Raises BadQuery."""
        with self._lock:
            self._next += 1
            number = self._next
            self._begun[number] = time.monotonic()
        ended = threading.Event()
        ender = threading.Thread(target=self._end, args=(cursor, ended), daemon=True)
        ender.start()
        try:
            yield
        except Interrupted as error:
            message = f"The question took longer than {self.seconds:g} s."
            raise BadQuery("too_slow", message, "Ask for a shorter window.") from error
        finally:
            ended.set()
            ender.join()
            with self._lock:
                del self._begun[number]

    def _end(self, cursor: Cursor, ended: threading.Event) -> None:
        """An interrupt between two statements is forgotten: so it is said until it was heard."""
        if ended.wait(self.seconds):
            return
        cursor.interrupt()
        while not ended.wait(_AGAIN_S):
            cursor.interrupt()

    def is_stuck(self) -> bool:
        """Is there a question that did not end when it was told to?"""
        with self._lock:
            oldest = min(self._begun.values(), default=None)
        return oldest is not None and time.monotonic() - oldest > self.seconds + _GRACE_S
