"""Why the callers' view and the called side's view differ, in words.

The client view is what callers got, after retries; the server view is what arrived, every attempt. Pure:
an edge of /api/graph in, sentences out. What must stay true: a sentence says only what the numbers
show; where a number is not known, it says that.
"""

from __future__ import annotations

from typing import Any

from dashboard.flags import flag
from dashboard.wording import count, plural

# Answered by the caller's own proxy: such a request was never sent on.
_NOT_SENT = ("FI", "UO", "NR", "NC", "UH", "RL", "UAEX", "RFCF")
_NOT_ARRIVED = ("UF", "DF")


def gap_words(edge: dict[str, Any]) -> list[str]:
    """An edge of /api/graph → sentences that explain the gap; never empty."""
    server = edge.get("server")
    requests, attempts = edge.get("requests"), edge.get("attempts")
    if edge.get("reporter") == "destination":
        return ["Only the called side reports here: the caller has no proxy, or none that sends telemetry."]
    sentences = _attempted(edge, requests, attempts) if attempts is not None else []
    if not server or server.get("requests") is None:
        only = [] if attempts == 0 else ["Only the callers' side reports here: what arrived is not known."]
        return sentences + only
    arrived = server["requests"]
    if attempts is None:
        sentences += _without_attempts(requests or 0, arrived)
    else:
        sentences += _arrived(edge, attempts, arrived)
    hidden = (server.get("errors") or 0) - (edge.get("errors") or 0)
    if hidden > 0:
        sentences.append(f"{plural(hidden, 'failure')} of the called side never reached a caller: retried.")
    return sentences or ["Everything that was sent arrived, once."]


def _attempted(edge: dict[str, Any], requests: int | None, attempts: int) -> list[str]:
    unsent = _because(edge, _NOT_SENT)
    more = attempts - (requests or 0)
    if more > 0:
        asked = plural(requests or 0, "request")
        return [f"{plural(more, 'retry', 'retries')}: {asked} became {plural(attempts, 'attempt')}."]
    if more < 0:
        why = f" ({unsent})" if unsent else ""
        verb = "was" if more == -1 else "were"
        return [f"{plural(-more, 'request')} {verb} never sent on{why}."]
    return []


def _arrived(edge: dict[str, Any], attempts: int, arrived: int) -> list[str]:
    lost = attempts - arrived
    if lost > 0:
        why = _because(edge, _NOT_ARRIVED)
        return [
            f"{plural(lost, 'attempt')} never arrived" + (f" ({why})." if why else ", or not reported yet.")
        ]
    if lost < 0:
        return [f"{count(-lost)} more arrived than this caller's proxies report to have sent."]
    return []


def _without_attempts(requests: int, arrived: int) -> list[str]:
    note = "How often a request was tried is not known here"
    if arrived > requests:
        return [f"{note}; {count(arrived - requests)} more arrived than were asked: retries."]
    if arrived < requests:
        return [f"{note}; {count(requests - arrived)} fewer arrived than were asked."]
    return [f"{note}; as many arrived as were asked."]


def _because(edge: dict[str, Any], names: tuple[str, ...]) -> str:
    found = [(name, number) for name, number in (edge.get("flags") or {}).items() if name in names and number]
    return ", ".join(f"{count(number)} {flag(name).title}" for name, number in found)
