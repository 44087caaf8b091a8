"""How long the store's answers take, by kind of question: counts per bucket, sum and number.

What must stay true: kinds are names of our own methods, so there are few; observing costs microseconds.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import Any

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NAME = "sidelight_query_duration_seconds"

_lock = threading.Lock()
_counts: dict[str, list[int]] = {}
_sums: dict[str, float] = {}


def observe(kind: str, seconds: float) -> None:
    """One answer (or failure) of a method of the store's queries."""
    with _lock:
        counts = _counts.setdefault(kind, [0] * (len(BUCKETS_S) + 1))
        counts[bisect_left(BUCKETS_S, seconds)] += 1
        _sums[kind] = _sums.get(kind, 0.0) + seconds


def series() -> list[dict[str, Any]]:
    """A Prometheus histogram: cumulative buckets, sum and count."""
    buckets: list[dict[str, Any]] = []
    sums: list[dict[str, Any]] = []
    numbers: list[dict[str, Any]] = []
    with _lock:
        for kind, counts in sorted(_counts.items()):
            total = 0
            for limit, count in zip((*BUCKETS_S, float("inf")), counts, strict=True):
                total += count
                le = "+Inf" if limit == float("inf") else str(limit)
                buckets.append({"labels": {"query": kind, "le": le}, "value": total})
            sums.append({"labels": {"query": kind}, "value": _sums[kind]})
            numbers.append({"labels": {"query": kind}, "value": total})
    text = "Time to answer a question, waiting for a place in the pool not included."
    return [
        {"name": f"{NAME}_bucket", "type": "counter", "help": text, "samples": buckets},
        {"name": f"{NAME}_sum", "type": "counter", "help": text, "samples": sums},
        {"name": f"{NAME}_count", "type": "counter", "help": text, "samples": numbers},
    ]
