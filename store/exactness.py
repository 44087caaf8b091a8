"""Whether rows or the rollup tell the percentiles of a question (design.md, invariant 7), decided once for it.

What must stay true: counts are the same either way; every statement on the reader's cursor goes by the same
choice; where rows of the window are no longer kept, no answer is called exact.
"""

from __future__ import annotations

from typing import Any

from store.asking import ask_rows
from store.query_types import Window
from store.statements import literal, source, sql


def choose_percentiles(cursor: Any, window: Window, wanted: bool) -> bool:
    """For a cursor within its reader's transaction: from rows if that is ``wanted`` and they are all there.

    Returns whether the percentiles are exact. Where they are not, rows are read of the window's cut minutes only,
    unless some must be matched by what only rows tell: those that hide their caller, and applications' spans.
    """
    values = {"from_time": window.from_time, "to_time": window.to_time}
    is_exact = wanted and not ask_rows(cursor, "rows_dropped", values)[0]["known"]
    cursor.execute(source("ask/exact" if is_exact else "ask/rolled_up"))
    if not is_exact:
        for table, question in (("observations", "any_loose"), ("spans", "any_span_links")):
            if not ask_rows(cursor, question, {})[0]["known"]:
                cursor.execute(sql("ask/cut_minutes", table=table))
    return is_exact


def keep_bounds(cursor: Any, window: Window, step_us: int) -> None:
    """Work out once which minutes the rollup may count, for a question in steps of ``step_us``: the statements say it
    often, and the planner reads all of what a macro stands for."""
    values = {"from_time": window.from_time, "to_time": window.to_time, "step_us": step_us}
    (bounds,) = ask_rows(cursor, "bounds", values)
    told = {name: f"TIMESTAMP {literal(str(moment))}" for name, moment in bounds.items()}
    is_one_step = str(step_us >= window.microseconds).lower()
    cursor.execute(sql("ask/bounds_kept", is_one_step=is_one_step, **told))
