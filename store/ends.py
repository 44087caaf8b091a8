"""The nodes edges may end at, named once for all the statements of one question.

The macro `ends` stands in a graph's statements several times; planning it takes longer than running it. What
must stay true: on a reader's cursor it answers what it would have answered.
"""

from __future__ import annotations

from typing import Any

from store.statements import source


def keep_ends(cursor: Any) -> None:
    """Put a temporary macro in the place of `ends`, once for a cursor within its reader's transaction."""
    cursor.execute(source("ask/ends_kept"))
    cursor.execute(source("ask/ends"))
