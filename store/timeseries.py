"""Rate, success and latency of one edge or node over time (`GET /api/timeseries`).

What must stay true: every step of the window is there, in order, also the empty ones (requests 0, the
rest null); a step's percentiles are over its own rows (where only metrics count: its own buckets), never
averages of others; `exact` says which.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from store.elements import find_element
from store.graph import ask_facts, rfc3339
from store.metric_facts import is_estimate
from store.node_ids import number_of
from store.query_types import TimeseriesQuery
from store.tally import Fact, Tally, quantiles_ms

Json = dict[str, Any]


def answer_timeseries(cursor: Any, query: TimeseriesQuery) -> Json:
    """The JSON of `/api/timeseries`."""
    number = number_of(query.edge or query.node or "")
    step_us = query.step_s * 1_000_000
    found = find_element(cursor, query.window, number)
    facts = ask_facts(cursor, query.window, found.grain, step_us, query.success, number) if found else []
    if query.node:
        facts = _without_connections(facts)
    return {
        "from": rfc3339(query.window.from_time),
        "to": rfc3339(query.window.to_time),
        "step_s": query.step_s,
        "exact": not any(is_estimate(fact) for fact in facts),
        "client": _series(query, facts, "client"),
        "server": _series(query, facts, "server"),
    }


def _without_connections(facts: list[Fact]) -> list[Fact]:
    """A node's requests are HTTP and gRPC; its connections only where it has nothing else."""
    requests = [fact for fact in facts if fact.protocol != "tcp"]
    return requests if any(fact.fact == "count" for fact in requests) else facts


def _series(query: TimeseriesQuery, facts: list[Fact], view: str) -> list[Json]:
    tallies: dict[int, Tally] = {}
    quantiles: dict[tuple[int, str, str | None], list[float]] = {}
    for fact in facts:
        if fact.view != view:
            continue
        if fact.fact == "count":
            tallies.setdefault(fact.bucket, Tally()).add(fact)
        else:
            quantiles[fact.bucket, fact.fact, fact.leg] = fact.quantiles_us
    steps = -(-query.window.microseconds // (query.step_s * 1_000_000))
    series = []
    for step in range(steps):
        tally = tallies.get(step, Tally())
        latency = (step, "latency", tally.best_leg) if query.edge else (step, "node", None)
        series.append(_point(query, step, tally, quantiles.get(latency)))
    return series


def _point(query: TimeseriesQuery, step: int, tally: Tally, quantiles_us: list[float] | None) -> Json:
    start = query.window.from_time + timedelta(seconds=step * query.step_s)
    seconds = min(query.step_s, (query.window.to_time - start).total_seconds())
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
