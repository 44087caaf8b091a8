"""The facts of one question about a window: counts of requests by edge and kind of answer, and their percentiles.

What must stay true: counts and percentiles, of rows and of metrics, are of the same window, steps and elements, read
in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from store.asking import ask_table
from store.exactness import keep_bounds
from store.kept_rows import KeptRows
from store.measured import latencies, part_of
from store.metric_facts import has_series, is_of_calls, leave_doubled
from store.query_types import Window
from store.tally import Latency

_COUNTED = [
    "bucket", "edge_no", "source_no", "target_no", "protocol", "view", "leg", "signal", "share_service", "status_code",
    "grpc_status", "response_flags", "tls", "requests", "duration_us", "timed", "attempts", "attempts_known",
    "request_bytes", "response_bytes", "outcome",
]  # fmt: skip
"""What a count tells.  "outcome": what became of these requests."""


@dataclass
class Facts:
    """What `edge_facts` and `metric_facts` answered."""

    values: Mapping[str, Any]
    rows: pa.Table
    metrics: pa.Table | None

    @cached_property
    def counts(self) -> pa.Table:
        """How many requests became what."""
        told = [table for table in (self.rows, self.metrics) if table is not None]
        counts = [part_of(table, "count", _COUNTED) for table in told]
        return pa.concat_tables(counts, promote_options="permissive")

    def node_numbers(self) -> list[int]:
        """Of all nodes at the ends of counted edges."""
        ends = pa.chunked_array(
            [*self.counts["source_no"].chunks, *self.counts["target_no"].chunks], pa.uint64()
        )
        return ends.unique().to_pylist()

    def latencies(self, cursor: Any, is_exact: bool, kept: KeptRows) -> list[Latency]:
        """Percentiles, those of metrics where rows tell none."""
        told = latencies(cursor, self.rows, self.values, is_exact, kept)
        if self.metrics is None:
            return told
        return leave_doubled(
            told, _latencies(self.metrics.filter(pc.not_equal(self.metrics["fact"], "count")))
        )


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


def _latencies(table: pa.Table) -> list[Latency]:
    columns = [table[name].to_pylist() for name in Latency._fields]
    return [Latency._make(row) for row in zip(*columns, strict=True)]
