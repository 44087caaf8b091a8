"""What the Envoys around a service do to its requests: as written in a topology file, and as objects.

The callers' Envoys inject faults, limit rates, open circuits and eject pods; the called pods' Envoys limit
rates and refuse callers. Which requests are meant is decided by their numbers, never by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidelight.mesh.reader import Reader

__all__ = ["Breaker", "Denial", "Fault", "OutlierDetection", "RateLimit", "ServiceRules", "number_ends_with"]

_SIDES = ("caller", "called")


@dataclass(frozen=True)
class Fault:
    """What the caller's Envoy does to a call instead of, or before, sending it on."""

    abort: int | None
    delay_ms: int
    ends_with: tuple[str, ...]


@dataclass(frozen=True)
class RateLimit:
    """A bucket of tokens in the Envoys of one side ('caller' | 'called'); without a token a request gets 429.

    Each Envoy has a bucket of its own. It starts full and is filled again once an hour at most, so a mesh that
    lives shorter gives each exactly `tokens`.
    """

    at: str
    tokens: int
    ends_with: tuple[str, ...]


@dataclass(frozen=True)
class Breaker:
    """The limits at which the caller's Envoy opens the circuit."""

    connections: int
    pending: int


@dataclass(frozen=True)
class OutlierDetection:
    """After so many 5xx in a row the caller's Envoy leaves a pod out for a while; all pods, if need be."""

    consecutive_5xx: int
    ejection_seconds: int


@dataclass(frozen=True)
class Denial:
    """Whom the called pod's Envoy refuses with 403: one service account, or all; these requests only."""

    account: str | None
    ends_with: tuple[str, ...]


@dataclass(frozen=True)
class ServiceRules:
    """All rules of one service; `jwt`: the called pods' Envoys want a good token, else 401; `timeout_ms` (0: none): the
    callers' Envoys wait so long, then answer 504 themselves."""

    retries: int
    timeout_ms: int
    faults: tuple[Fault, ...]
    breaker: Breaker | None
    rate_limit: RateLimit | None
    outlier_detection: OutlierDetection | None
    denials: tuple[Denial, ...]
    jwt: bool

    def rate_limit_at(self, side: str) -> RateLimit | None:
        return self.rate_limit if self.rate_limit and self.rate_limit.at == side else None

    def of_requests(self) -> list[str]:
        """The keys of those rules that only a service with requests (HTTP, gRPC) can have."""
        rules = {
            "retries": self.retries,
            "timeout_ms": self.timeout_ms,
            "faults": self.faults,
            "circuit_breaker": self.breaker,
            "rate_limit": self.rate_limit,
            "outlier_detection": self.outlier_detection,
            "jwt": self.jwt,
            "denials.ends_with": any(denial.ends_with for denial in self.denials),
        }
        return [name for name, rule in rules.items() if rule]


def number_ends_with(number: int, endings: tuple[str, ...]) -> bool:
    """Whether a rule applies to a request; no endings means every request. Envoy's rules say the same."""
    return not endings or str(number).endswith(endings)


def read_rules(part: Reader) -> ServiceRules:
    """The rules among a service's keys; TopologyError says what is wrong with one."""
    return ServiceRules(
        retries=part.whole("retries", 0, 10, 0),
        timeout_ms=part.whole("timeout_ms", 0, 60_000, 0),
        faults=part.each("faults", _fault),
        breaker=part.optional("circuit_breaker", _breaker),
        rate_limit=part.optional("rate_limit", _rate_limit),
        outlier_detection=part.optional("outlier_detection", _outlier_detection),
        denials=part.each("denials", _denial),
        jwt=part.flag("jwt", False),
    )


def _fault(part: Reader) -> Fault:
    fault = Fault(
        abort=part.optional_whole("abort", 400, 599),
        delay_ms=part.whole("delay_ms", 0, 60_000, 0),
        ends_with=part.endings("ends_with"),
    )
    if fault.abort is None and not fault.delay_ms:
        part.complain("needs `abort` (an HTTP status), `delay_ms`, or both")
    return fault


def _rate_limit(part: Reader) -> RateLimit:
    return RateLimit(
        part.one_of("at", _SIDES, "caller"), part.whole("tokens", 1, 1_000_000), part.endings("ends_with")
    )


def _breaker(part: Reader) -> Breaker:
    return Breaker(part.whole("connections", 1, 10_000, 1), part.whole("pending", 1, 10_000, 1))


def _outlier_detection(part: Reader) -> OutlierDetection:
    return OutlierDetection(
        part.whole("consecutive_5xx", 1, 1000, 5), part.whole("ejection_seconds", 1, 3600, 30)
    )


def _denial(part: Reader) -> Denial:
    denial = Denial(part.optional_name("account"), part.endings("ends_with"))
    if denial.account is None and not denial.ends_with:
        part.complain("needs `account` (a service account), `ends_with`, or both")
    return denial
