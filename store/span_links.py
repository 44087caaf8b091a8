"""Applications' spans and their other halves, found once for all the statements of one question.

The macro `span_links` stands in the graph's statements several times, and each mention would look for the
halves anew. What must stay true: on a reader's cursor it answers what it would have answered.
"""

from __future__ import annotations

from typing import Any

from store.asking import ask_rows
from store.query_types import Window
from store.statements import source


def leave_out_spans(cursor: Any) -> None:
    """For a cursor within its reader's transaction: where no proxy sends spans, no statement looks for them."""
    if not ask_rows(cursor, "any_span_peer", {})[0]["known"]:
        cursor.execute(source("ask/no_span_peers"))
    if not ask_rows(cursor, "any_span", {})[0]["known"]:
        cursor.execute(source("ask/no_spans"))


def keep_span_links(cursor: Any, window: Window) -> None:
    """Put a temporary macro in the place of `span_links`, for a cursor within its reader's transaction.

    Where no application's span can count in the window, which takes little to know, it and `span_calls` answer
    nothing.
    """
    values = {"from_time": window.from_time, "to_time": window.to_time}
    known = ask_rows(cursor, "span_peers_known", {})[0]["known"]
    wanted = known and ask_rows(cursor, "span_callers_known", values)[0]["known"]
    kept = "span_links_kept" if wanted else "no_span_links"
    cursor.execute(source(f"ask/{kept}"), values if wanted else None)
    cursor.execute(source("ask/span_links"))
