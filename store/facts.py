"""The facts of one question about a window: counts of requests by edge and kind of answer, and their percentiles.

What must stay true: counts and percentiles, of rows and of metrics, are of the same window, steps and elements, read
in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from store.asking import ask_table
from store.exactness import keep_bounds
from store.kept_rows import KeptRows
from store.measured import latencies, part_of
from store.metric_facts import has_series, is_of_calls, leave_doubled
from store.query_types import Window
from store.tally import Fact, Latency

_ENDS = ("source_no", "target_no")


@dataclass
class Facts:
    """What `edge_facts` and `metric_facts` answered."""

    values: Mapping[str, Any]
    rows: pa.Table
    metrics: pa.Table | None

    def node_numbers(self) -> set[int]:
        """Of all nodes at the ends of counted edges."""
        counts = [part_of(table, "count") for table in (self.rows, self.metrics) if table is not None]
        return {number for table in counts for end in _ENDS for number in pc.unique(table[end]).to_pylist()}

    def counts(self) -> list[Fact]:
        """How many requests became what."""
        tables = [part_of(table, "count") for table in (self.rows, self.metrics) if table is not None]
        return [fact for table in tables for fact in _read(table, Fact)]

    def latencies(self, cursor: Any, is_exact: bool, kept: KeptRows) -> list[Latency]:
        """Percentiles, those of metrics where rows tell none."""
        told = latencies(cursor, self.rows, self.values, is_exact, kept)
        if self.metrics is None:
            return told
        return leave_doubled(told, _read(_without_counts(self.metrics), Latency))


def ask_facts(
    cursor: Any, window: Window, grain: str, step_us: int, success: str, only: int | None = None
) -> Facts:
    """For a cursor whose relations hold the window. ``only``: an edge's or a node's number."""
    values: dict[str, Any] = {
        "from_time": window.from_time,
        "to_time": window.to_time,
        "grain": grain,
        "step_us": max(step_us, 1),
        "only_no": only,
    }
    asked = values | {"success": success}
    keep_bounds(cursor, window, values["step_us"])
    rows = ask_table(cursor, "graph_facts", asked)
    if not has_series(cursor):
        return Facts(values, rows, None)
    metrics = ask_table(cursor, "metric_facts", asked)
    if only is not None and is_of_calls(rows, only) != is_of_calls(metrics, only):
        # One of both found nobody who calls the node, and gave what the node calls instead.
        if is_of_calls(rows, only):
            rows = rows.slice(0, 0)
        else:
            metrics = metrics.slice(0, 0)
    return Facts(values, rows, metrics)


def _without_counts(table: pa.Table) -> pa.Table:
    return table.filter(pc.not_equal(table["fact"], "count"))


def _read(table: pa.Table, kind: Any) -> list[Any]:
    columns = [table[name].to_pylist() for name in kind._fields]
    return [kind._make(row) for row in zip(*columns, strict=True)]
