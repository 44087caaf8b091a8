"""Facts from rows and facts from metrics as one list (rows of `edge_facts` and `metric_facts`).

What must stay true: percentiles of rows (or of their rollup) are better than those of buckets, so where both tell
of the same requests' edge these are kept; a node asked for by id is either called or calling in all of it.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from store.asking import ask_rows
from store.statements import source
from store.tally import Latency


def has_series(cursor: Any) -> bool:
    """Did the mesh send any metric that may count? Asked first: nobody else pays for metrics."""
    return bool(ask_rows(cursor, "any_series", {})[0]["known"])


def leave_out_metrics(cursor: Any) -> None:
    """For a cursor within its reader's transaction: where no metric may count, no statement looks for them."""
    if not has_series(cursor):
        cursor.execute(source("ask/no_metrics"))


def leave_doubled(rows: list[Latency], metrics: list[Latency]) -> list[Latency]:
    """Both as one list, those of metrics only where rows tell none."""
    exact = {_measured(told) for told in rows}
    return rows + [told for told in metrics if _measured(told) not in exact]


def latency_from(told: Latency) -> str:
    """Where these percentiles come from: 'rows', 'rollup', or 'buckets' of somebody's histograms."""
    return {"metric": "buckets", "rollup": "rollup"}.get(told.signal or "", "rows")


def is_of_calls(facts: pa.Table, only: int) -> bool:
    """Are these the facts of what node ``only`` calls?"""
    counts = facts.filter(pc.equal(facts["fact"], "count"))
    ends = zip(counts["source_no"].to_pylist(), counts["target_no"].to_pylist(), strict=True)
    return len(counts) > 0 and all(source == only != target for source, target in ends)


def _measured(told: Latency) -> tuple[object, ...]:
    return told.fact, told.bucket, told.edge_no, told.target_no, told.view, told.leg
