"""Rate, success and latency of one edge or node over time (`GET /api/timeseries`).

What must stay true: every step of the window is there, in order, also the empty ones (requests 0, the
rest null); a step's percentiles are over its own rows (or its own buckets, where the rollup or only metrics tell),
never averages of others; `exact` says which. Where the rollup tells, steps are whole minutes, from an hour on whole
hours, and so the first and last step may be cut by the window: every step's counts stay exact.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from store.elements import find_element
from store.facts import ask_facts
from store.graph import rfc3339
from store.kept_rows import KeptRows
from store.metric_facts import latency_from
from store.node_ids import number_of
from store.query_types import TimeseriesQuery
from store.tally import Latency, Tally, quantiles_ms, tallies

Json = dict[str, Any]


_MINUTE_S, _HOUR_S = 60, 3600


def answer_timeseries(cursor: Any, query: TimeseriesQuery, is_exact: bool, kept: KeptRows) -> Json:
    """The JSON of `/api/timeseries`. ``is_exact``: what `choose_percentiles` said."""
    if not is_exact:
        query = replace(query, step_s=_whole(query.step_s))
    number = number_of(query.edge or query.node or "")
    step_us = query.step_s * 1_000_000
    found = find_element(cursor, query.window, number)
    counts: pa.Table | None = None
    latencies: list[Latency] = []
    if found:
        asked = ask_facts(cursor, query.window, found.grain, step_us, query.success, number)
        counts, latencies = asked.counts, asked.latencies(cursor, is_exact, kept)
        if query.node:
            counts = _without_connections(counts)
    return {
        "from": rfc3339(query.window.from_time),
        "to": rfc3339(query.window.to_time),
        "step_s": query.step_s,
        "exact": is_exact and all(latency_from(told) == "rows" for told in latencies),
        "client": _series(query, counts, latencies, "client", _since(query, is_exact)),
        "server": _series(query, counts, latencies, "server", _since(query, is_exact)),
    }


def _whole(step_s: int) -> int:
    """``step_s`` rounded up to whole minutes, from an hour on to whole hours."""
    unit = _MINUTE_S if step_s <= _HOUR_S else _HOUR_S
    return -(-step_s // unit) * unit


def _since(query: TimeseriesQuery, is_exact: bool) -> datetime:
    """Where the first step begins (the macro `steps_since`)."""
    start = query.window.from_time
    if is_exact or query.step_s >= query.window.seconds:
        return start
    whole = start.replace(second=0, microsecond=0)
    return whole if query.step_s % _HOUR_S else whole.replace(minute=0)


def _without_connections(counts: pa.Table) -> pa.Table:
    """A node's requests are HTTP and gRPC; its connections only where it has nothing else."""
    requests = counts.filter(pc.not_equal(counts["protocol"], "tcp"))
    return requests if len(requests) else counts


def _series(
    query: TimeseriesQuery, counts: pa.Table | None, latencies: list[Latency], view: str, since: datetime
) -> list[Json]:
    steps = -((since - query.window.to_time) // timedelta(seconds=query.step_s))
    summed = [Tally() for _ in range(steps)]
    if counts is not None:
        seen = counts.filter(pc.equal(counts["view"], view))
        summed = tallies(seen, seen["bucket"].to_numpy(), steps)
    quantiles = {(one.bucket, one.fact, one.leg): one.quantiles_us for one in latencies if one.view == view}
    series = []
    for step, tally in enumerate(summed):
        latency = (step, "latency", tally.best_leg) if query.edge else (step, "node", None)
        start = since + timedelta(seconds=step * query.step_s)
        series.append(_point(query, start, tally, quantiles.get(latency)))
    return series


def _point(query: TimeseriesQuery, start: datetime, tally: Tally, quantiles_us: list[float] | None) -> Json:
    end = min(start + timedelta(seconds=query.step_s), query.window.to_time)
    start = max(start, query.window.from_time)
    seconds = (end - start).total_seconds()
    latency = quantiles_ms(quantiles_us)
    return {
        "time": rfc3339(start),
        "requests": tally.requests,
        "rate": tally.requests / seconds if tally.requests else None,
        "errors": tally.errors if tally.requests else None,
        "client_gone": tally.client_gone if tally.requests else None,
        "unknown": tally.unknown if tally.requests else None,
        "success_rate": tally.success_rate,
        "p50_ms": latency["p50_ms"],
        "p95_ms": latency["p95_ms"],
        "p99_ms": latency["p99_ms"],
        "request_bytes": tally.request_bytes,
        "response_bytes": tally.response_bytes,
    }
