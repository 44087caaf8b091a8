"""The nodes edges may end at, named once for all the statements of one question, and again when somebody new is known.

The macro `ends` stands in a graph's statements several times; planning it takes longer than running it. What
must stay true: on a reader's cursor it answers what it would have answered.
"""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa

from store.asking import Row, ask_rows
from store.database import arrow_relations, to_arrow
from store.statements import source, sql


class KeptEnds:
    """The answer of `ends`, from one question to the next; safe to use from any thread."""

    def __init__(self) -> None:
        self._kept: tuple[Row, pa.Table] | None = None
        self._lock = threading.Lock()

    def keep(self, cursor: Any) -> None:
        """Put a temporary macro in the place of `ends`, once for a cursor within its reader's transaction."""
        version = ask_rows(cursor, "ends_version", {})[0]
        with self._lock:
            kept = self._kept
        if kept is None or kept[0] != version:
            cursor.execute(sql("ask/ends_kept", ends="ends()"))
            with self._lock:
                self._kept = version, to_arrow(cursor.execute("FROM ends_kept"))
        else:
            with arrow_relations(cursor, ends_known=kept[1]):
                cursor.execute(sql("ask/ends_kept", ends="ends_known"))
        cursor.execute(source("ask/ends"))
