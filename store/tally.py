"""Adding up facts (rows of `edge_facts`): what became of requests, how long they took.

Pure: facts in, numbers out. What must stay true: a number that cannot be known is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Fact(NamedTuple):
    """A 'count' of `edge_facts` or `metric_facts`, with its `outcome`."""

    bucket: int
    edge_no: int
    source_no: int
    target_no: int
    protocol: str
    view: str
    leg: str
    signal: str
    share_service: str | None
    status_code: int | None
    grpc_status: int | None
    response_flags: str | None
    tls: str | None
    requests: int
    duration_us: int | None
    timed: int
    attempts: int | None
    attempts_known: int
    request_bytes: int | None
    response_bytes: int | None
    outcome: str


class Latency(NamedTuple):
    """Percentiles of a step: 'latency' of an edge, view and leg, or 'node' of a called node and view. ``signal``:
    'rollup' or 'metric' where they are not of rows."""

    fact: str
    bucket: int
    edge_no: int | None
    target_no: int
    view: str
    leg: str | None
    signal: str | None
    quantiles_us: list[float]


@dataclass(slots=True)
class Outcomes:
    """What became of some requests."""

    requests: int = 0
    errors: int = 0
    client_gone: int = 0
    unknown: int = 0

    def join(self, other: Outcomes) -> None:
        self.requests += other.requests
        self.errors += other.errors
        self.client_gone += other.client_gone
        self.unknown += other.unknown

    @property
    def success_rate(self) -> float | None:
        """1 - errors / (requests - client_gone - unknown)."""
        judged = self.requests - self.client_gone - self.unknown
        return 1 - self.errors / judged if judged else None


@dataclass(slots=True)
class Tally(Outcomes):
    """Sums over the facts of one view of one edge or step."""

    attempts: int | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    codes: dict[str, int] = field(default_factory=dict)
    grpc_codes: dict[str, int] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    # By leg ('out': the caller's own rows, 'in': the called side's): summed durations, rows that had one.
    duration_us: dict[str, int] = field(default_factory=dict)
    timed: dict[str, int] = field(default_factory=dict)
    legs: dict[str, int] = field(default_factory=dict)
    signals: dict[str, int] = field(default_factory=dict)

    def add(self, fact: Fact) -> None:
        # Thousands a graph: one function, each field read once.
        requests, outcome, code, leg = fact.requests, fact.outcome, fact.status_code, fact.leg
        self.requests += requests
        if outcome == "error":
            self.errors += requests
        elif outcome == "client_gone":
            self.client_gone += requests
        elif outcome == "unknown":
            self.unknown += requests
        if fact.attempts_known:
            self.attempts = (self.attempts or 0) + (fact.attempts or 0)
        if (size := fact.request_bytes) is not None:
            self.request_bytes = (self.request_bytes or 0) + size
        if (size := fact.response_bytes) is not None:
            self.response_bytes = (self.response_bytes or 0) + size
        if code is not None and fact.protocol != "tcp":
            name = str(code)
            self.codes[name] = self.codes.get(name, 0) + requests
        if (status := fact.grpc_status) is not None:
            name = str(status)
            self.grpc_codes[name] = self.grpc_codes.get(name, 0) + requests
        if flags := fact.response_flags:
            for flag in flags.split(","):
                if flag and flag != "-":
                    self.flags[flag] = self.flags.get(flag, 0) + requests
        self.legs[leg] = self.legs.get(leg, 0) + requests
        self.signals[fact.signal] = self.signals.get(fact.signal, 0) + requests
        if code != 101 and (timed := fact.timed):
            self.duration_us[leg] = self.duration_us.get(leg, 0) + (fact.duration_us or 0)
            self.timed[leg] = self.timed.get(leg, 0) + timed

    @property
    def best_leg(self) -> str:
        """Whose durations to show: the caller's own, where there are any."""
        return "out" if self.timed.get("out") else "in"

    @property
    def avg_ms(self) -> float | None:
        timed = self.timed.get(self.best_leg)
        return self.duration_us[self.best_leg] / timed / 1000 if timed else None


def quantiles_ms(quantiles_us: list[float] | None) -> dict[str, float | None]:
    """[p50, p90, p95, p99] in µs → names with milliseconds."""
    if not quantiles_us:
        return {"p50_ms": None, "p90_ms": None, "p95_ms": None, "p99_ms": None}
    p50, p90, p95, p99 = quantiles_us
    return {"p50_ms": p50 / 1000, "p90_ms": p90 / 1000, "p95_ms": p95 / 1000, "p99_ms": p99 / 1000}
