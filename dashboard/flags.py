"""What Envoy's response flags mean, in plain words.

The one place that explains a flag; the panel, the request list and the waterfall all read it. A
flag that is not listed is still shown as it came: anyone may register flags of their own in Envoy,
so an unknown one is an answer, never an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Flag(NamedTuple):
    """A response flag: its title, a sentence on what happened, and whose side it points to."""

    title: str
    meaning: str
    side: str  # 'caller' | 'called' | 'proxy' | 'policy' | 'config' | 'injected' | 'none' | 'unknown'


FLAGS: dict[str, Flag] = {
    "UH": Flag("no healthy upstream", "No endpoint was fit to take the request.", "called"),
    "UF": Flag(
        "connection failed", "The proxy could not connect (refused, timed out, or TLS failed).", "called"
    ),
    "UO": Flag(
        "circuit breaker open", "A limit on connections or pending requests was reached; not sent.", "policy"
    ),
    "NR": Flag("no route", "No route (or no filter chain) matched the request.", "config"),
    "URX": Flag("retries spent", "Every attempt that was allowed failed; this is the last answer.", "called"),
    "NC": Flag("no cluster", "The route names a cluster that does not exist.", "config"),
    "DT": Flag("lived too long", "The connection or stream reached its longest duration.", "policy"),
    "DC": Flag("client left", "The caller closed the connection before the answer was complete.", "caller"),
    "LH": Flag("failed local health check", "The local service was marked unhealthy.", "called"),
    "UT": Flag("timed out", "No answer came within the route's (or the attempt's) timeout.", "called"),
    "LR": Flag("reset by the proxy", "The proxy itself reset the stream or connection.", "proxy"),
    "UR": Flag("reset by the called side", "The called side reset the stream.", "called"),
    "UC": Flag("closed by the called side", "The called side closed the connection midway.", "called"),
    "DI": Flag("delay injected", "A fault rule held the request back; not an error by itself.", "injected"),
    "FI": Flag(
        "fault injected", "A fault rule answered instead of the service; nothing was sent.", "injected"
    ),
    "RL": Flag("rate limited", "A rate limit refused the request (usually 429).", "policy"),
    "UAEX": Flag("refused by authorization", "The external authorization service said no.", "policy"),
    "RLSE": Flag("rate limit service failed", "The rate limit service itself could not answer.", "proxy"),
    "IH": Flag(
        "bad Envoy header", "A header of the x-envoy family had a value that is not allowed.", "caller"
    ),
    "SI": Flag("idle too long", "Nothing moved on the stream for the whole idle timeout.", "policy"),
    "DPE": Flag("client broke the protocol", "The caller's bytes were no valid HTTP.", "caller"),
    "UPE": Flag(
        "answer broke the protocol", "The called side's bytes were no valid HTTP; may be cut off.", "called"
    ),
    "UMSDR": Flag("stream lived too long", "The stream to the called side reached its limit.", "policy"),
    "RFCF": Flag("answered from a cache", "A cache answered; the service was not asked.", "none"),
    "NFCF": Flag("filter without configuration", "A filter's configuration had not arrived.", "config"),
    "OM": Flag("proxy overloaded", "The proxy's overload manager ended the request.", "proxy"),
    "DF": Flag("name not resolved", "DNS had no answer for the upstream's name.", "called"),
    "DO": Flag("dropped on purpose", "The endpoints' configuration drops a share of requests.", "policy"),
    "UDO": Flag("all dropped on purpose", "The endpoints' configuration drops every request.", "policy"),
    "DR": Flag("client reset", "The caller reset its stream before the answer was complete.", "caller"),
}

_OTHER = Flag("another flag", "Not one of Envoy's own flags: a proxy may register more.", "unknown")


def flag(name: str) -> Flag:
    """The description of one flag as Envoy spells it (`UF`); unknown ones get a neutral one."""
    return FLAGS.get(name, _OTHER)


def meanings(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """`{"UF": {"title", "meaning"}}` for the given flags, in the order they were first met."""
    return {name: {"title": flag(name).title, "meaning": flag(name).meaning} for name in dict.fromkeys(names)}
