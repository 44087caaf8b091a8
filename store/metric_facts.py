"""Facts from rows and facts from metrics as one list (rows of `edge_facts` and `metric_facts`).

What must stay true: percentiles of rows (or of their rollup) are better than those of buckets, so where both tell
of the same requests' edge these are kept; a node asked for by id is either called or calling in all of it.
"""

from __future__ import annotations

from typing import Any

from store.asking import ask_rows
from store.statements import source
from store.tally import Fact


def has_series(cursor: Any) -> bool:
    """Did the mesh send any metric that may count? Asked first: nobody else pays for metrics."""
    return bool(ask_rows(cursor, "any_series", {})[0]["known"])


def leave_out_metrics(cursor: Any) -> None:
    """For a cursor within its reader's transaction: where no metric may count, no statement looks for them."""
    if not has_series(cursor):
        cursor.execute(source("ask/no_metrics"))


def joined_facts(rows: list[Fact], metrics: list[Fact], only: int | None) -> list[Fact]:
    """Both lists as one. ``only``: the edge or node that was asked for."""
    if only is not None and _calls(rows, only) != _calls(metrics, only):
        # One list found nobody who calls the node, and gave what the node calls instead.
        rows, metrics = ([], metrics) if _calls(rows, only) else (rows, [])
    exact = {_measured(fact) for fact in rows if fact.fact != "count"}
    return rows + [fact for fact in metrics if fact.fact == "count" or _measured(fact) not in exact]


def latency_from(fact: Fact) -> str:
    """Where these percentiles come from: 'rows', 'rollup', or 'buckets' of somebody's histograms."""
    return {"metric": "buckets", "rollup": "rollup"}.get(fact.signal, "rows")


def _calls(facts: list[Fact], only: int) -> bool:
    """Are these the facts of what node ``only`` calls?"""
    ends = [(fact.source_no, fact.target_no) for fact in facts if fact.fact == "count"]
    return bool(ends) and all(source == only != target for source, target in ends)


def _measured(fact: Fact) -> tuple[object, ...]:
    return fact.fact, fact.bucket, fact.edge_no, fact.target_no, fact.view, fact.leg
