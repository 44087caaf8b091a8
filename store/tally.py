"""Adding up facts (rows of `edge_facts`): what became of requests, how long they took.

Pure: facts in, numbers out. What must stay true: a number that cannot be known is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

class Fact(NamedTuple):
    """A row of `edge_facts` or `metric_facts`, with its `outcome`. What only counts have is null elsewhere."""

    fact: str
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
    quantiles_us: list[float]
    outcome: str


@dataclass
class Outcomes:
    """What became of the requests of some facts."""

    requests: int = 0
    errors: int = 0
    client_gone: int = 0
    unknown: int = 0

    def add(self, fact: Fact) -> None:
        requests, outcome = fact.requests, fact.outcome
        self.requests += requests
        if outcome == "error":
            self.errors += requests
        elif outcome == "client_gone":
            self.client_gone += requests
        elif outcome == "unknown":
            self.unknown += requests

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


@dataclass
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
        super().add(fact)
        requests = fact.requests
        if fact.attempts_known:
            self.attempts = (self.attempts or 0) + fact.attempts
        if fact.request_bytes is not None:
            self.request_bytes = (self.request_bytes or 0) + fact.request_bytes
        if fact.response_bytes is not None:
            self.response_bytes = (self.response_bytes or 0) + fact.response_bytes
        self._add_answer(fact, requests)
        _count(self.legs, fact.leg, requests)
        _count(self.signals, fact.signal, requests)
        if fact.status_code != 101 and fact.timed:
            _count(self.duration_us, fact.leg, fact.duration_us)
            _count(self.timed, fact.leg, fact.timed)

    def _add_answer(self, fact: Fact, requests: int) -> None:
        if fact.protocol != "tcp" and fact.status_code is not None:
            _count(self.codes, str(fact.status_code), requests)
        if fact.grpc_status is not None:
            _count(self.grpc_codes, str(fact.grpc_status), requests)
        if fact.response_flags:
            for flag in fact.response_flags.split(","):
                if flag and flag != "-":
                    _count(self.flags, flag, requests)

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
    names = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
    if not quantiles_us:
        return dict.fromkeys(names)
    return dict(zip(names, (value / 1000 for value in quantiles_us), strict=True))


def _count(counts: dict[str, int], name: str, by: int) -> None:
    counts[name] = counts.get(name, 0) + by
