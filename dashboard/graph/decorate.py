"""What an element of the graph says: its name, labels, colour class and width. Pure; numbers → words.

Takes nodes and edges exactly as /api/graph gives them (design: contracts). Health thresholds of
edges are Kiali's defaults: any error is degraded, a tenth is failing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dashboard import wording

Json = dict[str, Any]

FAILING = 0.1
NAME_LENGTH = 18


def node_name(node: Json) -> str:
    """The shortest name that is honest: workload, app or the first label of an in-mesh service."""
    kind = node.get("kind")
    service = node.get("service") or ""
    if kind == "service" and service:
        return service.split(".")[0] if ".svc" in service else service
    by_kind = {"app": ("app",), "instance": ("instance", "workload"), "external": ("service",)}
    for name in (*by_kind.get(str(kind), ()), "workload", "app", "service"):
        if node.get(name):
            return str(node[name])
    return "unknown"


def shorten(name: str, length: int = NAME_LENGTH) -> str:
    """Cut in the middle: what tells names apart is often at their end. Control characters become spaces."""
    plain = "".join(c if c.isprintable() else " " for c in name[:300])
    if len(plain) <= length:
        return plain
    tail = length // 3
    return f"{plain[: length - tail - 1]}…{plain[-tail:]}"


def node_detail(node: Json, seconds: float) -> str:
    """The second line of a card: what comes in, and how much of it succeeds if not all does."""
    inward, outward = node.get("requests_in") or 0, node.get("requests_out") or 0
    if not inward:
        return f"sends {short_rate(outward / seconds)}" if outward else ""
    text = short_rate(inward / seconds)
    success = node.get("success_rate_in")
    return f"{text} · {wording.percent(success)}" if success is not None and success < 1 else text


def edge_health(edge: Json) -> str:
    """``idle`` | ``unknown`` | ``healthy`` | ``degraded`` | ``failing``."""
    if not edge.get("requests"):
        return "idle"
    judged = edge["requests"] - (edge.get("client_gone") or 0) - (edge.get("unknown") or 0)
    errors = edge.get("errors")
    if errors is None or judged <= 0:
        return "unknown"
    if not errors:
        return "healthy"
    # Compared as counts: 1 - 0.9 is less than 0.1 to a computer.
    return "failing" if errors >= FAILING * judged else "degraded"


def edge_width(rate: float | None) -> float:
    """Line width in px, by the logarithm of the rate: 0.01/s 1.2, 1/s 2, 100/s 4.4, from 15,000/s on 7."""
    if not rate or rate <= 0:
        return 1.2
    return round(min(7.0, max(1.2, 2 + 1.2 * math.log10(rate))), 1)


def split(share: float | None) -> str:
    """The canary split of one edge: ``80 %``; empty where one version takes all or nothing is known."""
    if share is None or share >= 1:
        return ""
    percent = share * 100
    if 0 < percent < 1:
        return "<1 %"
    return ">99 %" if percent > 99 else f"{percent:.0f} %"


def short_rate(rate: float | None) -> str:
    """At most three digits: ``0.017/s``, ``2/s``, ``27.8/s``, ``1.24k/s``; a trifle is not zero."""
    if rate is None:
        return wording.UNKNOWN
    if 0 < rate < 0.001:
        return "<0.001/s"
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if rate >= 0.9995 * size:
            return f"{rate / size:.3g}{unit}/s"
    return f"{rate:.2g}/s" if rate < 1 else f"{rate:.3g}/s"


def _rate(edge: Json, _seconds: float) -> str:
    text = short_rate(edge.get("rate"))
    return f"{text.removesuffix('/s')} conn/s" if edge.get("protocol") == "tcp" else text


def _error(edge: Json, _seconds: float) -> str:
    success = edge.get("success_rate")
    return "" if success is None else f"{wording.percent(1 - success)} err" if success < 1 else "0 % err"


def _latency(field: str) -> Callable[[Json, float], str]:
    def text(edge: Json, _seconds: float) -> str:
        value = edge.get(field)
        return "" if value is None else wording.milliseconds(value)

    return text


def _throughput(edge: Json, seconds: float) -> str:
    sent, received = edge.get("request_bytes"), edge.get("response_bytes")
    if sent is None and received is None:
        return ""
    return wording.size(((sent or 0) + (received or 0)) / seconds) + "/s"


VALUES: dict[str, Callable[[Json, float], str]] = {
    "rate": _rate,
    "error": _error,
    "p50": _latency("p50_ms"),
    "p95": _latency("p95_ms"),
    "p99": _latency("p99_ms"),
    "throughput": _throughput,
    "off": lambda _edge, _seconds: "",
}


def edge_labels(edge: Json, label: str, seconds: float) -> tuple[str, str]:
    """(full, short): the split and the chosen number; the split alone where there is room for one."""
    share, value = split(edge.get("share")), VALUES[label](edge, seconds)
    return " · ".join(part for part in (share, value) if part), share or value


def describe_node(node: Json, seconds: float) -> str:
    """One sentence for screen readers."""
    where = f" in {shorten(node['namespace'], 60)}" if node.get("namespace") else ""
    parts = [
        f"{node['kind']} {shorten(node_name(node), 80)}{where}",
        node_detail(node, seconds),
        node["health"],
    ]
    return ", ".join(part for part in parts if part)


def describe_edge(edge: Json, source: Json, target: Json, seconds: float) -> str:
    """One sentence for screen readers."""
    names = f"{shorten(node_name(source), 80)} to {shorten(node_name(target), 80)}"
    parts = [names, split(edge.get("share")), _rate(edge, seconds), _error(edge, seconds)]
    return ", ".join(part for part in parts if part)
