"""Rows that do not show their direct caller: looked for only where proxies send such.

What must stay true: on a reader's cursor the statements answer what they would have answered; only the reading
of request ids and addresses of every row, for nothing, is left out.
"""

from __future__ import annotations

from typing import Any

from store.asking import ask_rows
from store.statements import source


def leave_out_loose_rows(cursor: Any) -> None:
    """For a cursor within its reader's transaction: where every proxy tells its callers, no row is matched."""
    if not ask_rows(cursor, "any_loose", {})[0]["known"]:
        cursor.execute(source("ask/none_loose"))
