"""How healthy a node's traffic is, by Kiali's default tolerances (each judged alone, the worst wins).

What must stay true: a ratio is of one protocol and one direction; requests whose caller went away say
nothing about either side and are left out; a node without traffic is idle, not healthy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

_RANK = {"idle": 0, "unknown": 1, "healthy": 2, "degraded": 3, "failing": 4}


@dataclass(frozen=True)
class Tolerance:
    """From which share (0..1) of all requests a kind of answer degrades, and from which it fails."""

    kind: str  # 'no_response' | '4xx' | '5xx' | 'grpc' | 'tcp'
    degraded: float
    failing: float


# A degraded share of 0 means: any at all.
TOLERANCES = (
    Tolerance("5xx", 0.0, 0.10),
    Tolerance("4xx", 0.10, 0.20),
    Tolerance("grpc", 0.0, 0.10),
    Tolerance("no_response", 0.0, 0.10),
    Tolerance("tcp", 0.0, 0.10),
)


@dataclass
class Traffic:
    """Requests of one direction of a node, by protocol and kind of answer."""

    kinds: dict[tuple[str, str], int] = field(default_factory=dict)

    def join(self, other: Traffic) -> None:
        for kind, requests in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + requests


def answer_kind(protocol: str, code: int | None, grpc_status: int | None, outcome: str) -> str:
    """The kind of answer tolerances speak of; 'ok' for what none of them names."""
    if protocol == "tcp":
        return "tcp" if outcome == "error" else "ok"
    if code == 0:
        return "no_response"
    if code is not None and code >= 400:
        return "5xx" if code >= 500 else "4xx"
    if protocol == "grpc" and grpc_status:
        return "grpc"
    if outcome == "unknown":
        return "unknown"
    return "5xx" if outcome == "error" else "ok"


def health_of(directions: Iterable[Traffic], tolerances: Iterable[Tolerance] = TOLERANCES) -> str:
    """'healthy' | 'degraded' | 'failing' | 'idle' | 'unknown' (all answers were unreadable)."""
    worst = "idle"
    for traffic in directions:
        totals: dict[str, int] = {}
        for (protocol, _), requests in traffic.kinds.items():
            totals[protocol] = totals.get(protocol, 0) + requests
        for protocol, total in totals.items():
            if total and traffic.kinds.get((protocol, "unknown"), 0) == total:
                worst = max(worst, "unknown", key=_RANK.__getitem__)
                continue
            worst = max(worst, "healthy", key=_RANK.__getitem__)
            for tolerance in tolerances:
                share = traffic.kinds.get((protocol, tolerance.kind), 0) / total
                if share > 0 and share >= tolerance.failing:
                    worst = "failing"
                elif share > 0 and share >= tolerance.degraded:
                    worst = max(worst, "degraded", key=_RANK.__getitem__)
    return worst
