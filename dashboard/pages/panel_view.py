"""What the side panel says of a node or an edge: builders from JSON to components, without callbacks.

Takes nodes and edges exactly as /api/graph gives them. Text from telemetry is only ever a child of a
component. What is not known reads as a dash, never as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboard.flags import flag
from dashboard.graph.decorate import edge_health, node_name
from dashboard.pages.gap import gap_words
from dashboard.wording import UNKNOWN, count, grpc_name, milliseconds, percent, rate, size

Json = dict[str, Any]

HEALTH_WORDS = {
    "healthy": "healthy",
    "degraded": "some errors",
    "failing": "failing",
    "idle": "idle",
    "unknown": "not known",
}


def subject_of(graph: Json | None, selection: Json | None) -> tuple[str, Json] | None:
    """``("node" | "edge", its JSON)`` of what is selected; None where the graph does not have it."""
    kind, ident = (selection or {}).get("kind"), (selection or {}).get("id")
    if kind not in ("node", "edge") or not graph:
        return None
    item = (graph.get(f"{kind}s") or {}).get(ident)
    return (kind, item) if item else None


def title(graph: Json, kind: str, item: Json) -> list[Any]:
    """Name, health and what it is."""
    health = str(item.get("health") or "unknown") if kind == "node" else edge_health(item)
    word = HEALTH_WORDS.get(health, "not known")
    if kind == "edge":
        nodes = graph.get("nodes") or {}
        source, target = nodes.get(item["source"]) or {}, nodes.get(item["target"]) or {}
        name: list[Any] = [node_name(source), html.Span(" → ", className="arrow"), node_name(target)]
        about = [str(item.get("protocol") or "").upper(), _spaces(source, target), _counted(item)]
    else:
        name = [node_name(item)]
        about = [
            str(item.get("kind")),
            f"namespace {str(item['namespace'])[:120]}" if item.get("namespace") else "namespace not known",
            f"version {item['version']}" if item.get("version") else "",
            str(item.get("service") or "")[:300],
        ]
    return [
        html.H2(name, dir="auto"),
        html.P(
            [html.Span(word, className=f"key health-{health}"), *[html.Span(part) for part in about if part]],
            className="about",
        ),
    ]


def _spaces(source: Json, target: Json) -> str:
    spaces = [source.get("namespace") or "unknown", target.get("namespace") or "unknown"]
    return spaces[0] if spaces[0] == spaces[1] else " → ".join(spaces)


def _counted(edge: Json) -> str:
    words = {
        "access_log": "counted from access logs",
        "metric": "counted from metrics",
        "span": "counted from spans: sampled",
        "mixed": "counted from several signals",
    }
    return words.get(str(edge.get("counted_from")), "")


def is_counted_by_metrics(graph: Json, kind: str, item: Json) -> bool:
    """Whether every number of the edge, or of the node's edges, comes from metrics: then no rows exist."""
    ends = ("source", "target")
    edges = (graph.get("edges") or {}).values()
    near = [item] if kind == "edge" else [edge for edge in edges if item["id"] in [edge[end] for end in ends]]
    return bool(near) and all(edge.get("counted_from") == "metric" for edge in near)


def facts(kind: str, item: Json, seconds: float) -> list[Any]:
    """The key numbers, as tiles."""
    return _edge_facts(item) if kind == "edge" else _node_facts(item, seconds)


def _edge_facts(edge: Json) -> list[Any]:
    tcp = edge.get("protocol") == "tcp"
    tiles = [
        _tile("connections" if tcp else "requests", count(edge.get("requests"))),
        _tile("rate", rate(edge.get("rate"))),
        _tile("success", percent(edge.get("success_rate")), bad=_below_one(edge.get("success_rate"))),
        _tile("errors", count(edge.get("errors")), bad=bool(edge.get("errors"))),
        _tile("p50", milliseconds(edge.get("p50_ms"))),
        _tile("p95", milliseconds(edge.get("p95_ms"))),
        _tile("p99", milliseconds(edge.get("p99_ms"))),
        _tile("mutual TLS", percent(edge.get("mtls"))),
    ]
    if edge.get("share") is not None:
        note = "Of this caller's requests that any version answered, the part this version answered."
        tiles.append(_tile("share", percent(edge["share"]), note))
    if edge.get("configured_share") is not None:
        tiles.append(_tile("configured", percent(edge["configured_share"])))
    if not tcp:
        tiles.append(_tile("attempts", count(edge.get("attempts")), "How often the caller's proxy tried."))
    if edge.get("client_gone"):
        tiles.append(
            _tile("client left", count(edge["client_gone"]), "Counted neither as success nor as error.")
        )
    if edge.get("unknown"):
        tiles.append(
            _tile("not known", count(edge["unknown"]), "This telemetry does not show how they ended.")
        )
    tiles.append(_tile("sent", size(edge.get("request_bytes"))))
    tiles.append(_tile("received", size(edge.get("response_bytes"))))
    return tiles


def _node_facts(node: Json, seconds: float) -> list[Any]:
    incoming = node.get("requests_in")
    per_second = incoming / seconds if incoming is not None and seconds > 0 else None
    return [
        _tile("requests in", count(incoming)),
        _tile("rate", rate(per_second)),
        _tile("success", percent(node.get("success_rate_in")), bad=_below_one(node.get("success_rate_in"))),
        _tile("requests out", count(node.get("requests_out"))),
        _tile("p50", milliseconds(node.get("p50_ms_in"))),
        _tile("p95", milliseconds(node.get("p95_ms_in"))),
        _tile("p99", milliseconds(node.get("p99_ms_in"))),
    ]


def _below_one(share: float | None) -> bool:
    return share is not None and share < 1


def _tile(name: str, value: str, note: str | None = None, bad: bool = False) -> html.Div:
    return html.Div(
        [html.Dt(name), html.Dd(value, className="is-bad" if bad else "")], className="tile", title=note
    )


def views(edge: Json) -> list[Any]:
    """Client view and server view side by side, and why they differ."""
    server = edge.get("server") or {}
    rows = (
        ("requests", "requests", count),
        ("errors", "errors", count),
        ("success", "success_rate", percent),
        ("p50", "p50_ms", milliseconds),
        ("p95", "p95_ms", milliseconds),
        ("p99", "p99_ms", milliseconds),
    )
    # An edge that only the called side reports has its numbers from there.
    client = {} if edge.get("reporter") == "destination" else edge
    body = [
        html.Tr([html.Th(name, scope="row"), html.Td(show(client.get(key))), html.Td(show(server.get(key)))])
        for name, key, show in rows
    ]
    heads = (
        ("", None),
        ("client view", "what callers got, after retries"),
        ("server view", "what arrived, every attempt"),
    )
    head = html.Tr([html.Th(text, title=note, scope="col") for text, note in heads])
    return [
        html.Table([html.Thead(head), html.Tbody(body)], className="views"),
        html.P(" ".join(gap_words(edge)), className="gap-words"),
    ]


def neighbours(graph: Json, node: Json) -> list[Any]:
    """Who calls a node and whom it calls; each line opens that edge."""
    edges = list((graph.get("edges") or {}).values())
    blocks: list[Any] = []
    for heading, mine, other in (("Called by", "target", "source"), ("Calls", "source", "target")):
        found = sorted((e for e in edges if e[mine] == node["id"]), key=lambda e: -(e.get("rate") or 0))
        if found:
            blocks += [
                html.H3(heading),
                html.Ul([_neighbour(graph, e, other) for e in found], className="near"),
            ]
    return blocks


def _neighbour(graph: Json, edge: Json, other: str) -> html.Li:
    name = node_name((graph.get("nodes") or {}).get(edge[other]) or {})
    share = f" · {percent(edge['share'])} share" if edge.get("share") not in (None, 1, 1.0) else ""
    numbers = f"{rate(edge.get('rate'))} · {percent(edge.get('success_rate'))}{share}"
    return html.Li(
        html.Button(
            [
                html.Span(name, className=f"key health-{edge_health(edge)}"),
                html.Span(numbers, className="muted"),
            ],
            type="button",
            **{"data-pick-edge": edge["id"]},
        )
    )


def code_bars(edges: Sequence[Json]) -> list[Any]:
    """HTTP codes, gRPC statuses and response flags of the edges, each with a bar and its meaning."""
    blocks: list[Any] = []
    for heading, field, describe in (
        ("Codes", "codes", _code_words),
        ("gRPC status", "grpc_codes", lambda code: (grpc_name(code), code != "0")),
        ("Response flags", "flags", lambda name: (f"{flag(name).title}. {flag(name).meaning}", None)),
    ):
        counts = _summed(edges, field)
        if counts:
            whole = sum(counts.values()) if field != "flags" else sum(e.get("requests") or 0 for e in edges)
            bars = [_bar(name, number, whole, *describe(name)) for name, number in counts.items()]
            blocks += [html.H3(heading), html.Ul(bars, className="bars")]
    return blocks


def _summed(edges: Sequence[Json], field: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for edge in edges:
        for name, number in (edge.get(field) or {}).items():
            counts[str(name)] = counts.get(str(name), 0) + number
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _code_words(code: str) -> tuple[str, bool]:
    if code == "0":
        return "no response was sent", True
    return "", code.isdigit() and int(code) >= 500


def _bar(name: str, number: int, whole: int, words: str, bad: bool | None) -> html.Li:
    share = number / whole if whole else 0
    state = {True: " is-bad", False: "", None: " is-note"}[bad]
    return html.Li(
        [
            html.Span(name[:40], className="bar-name"),
            html.Span(
                html.Span(
                    className=f"bar{state}", style={"width": f"{min(1.0, max(share, 0.006)) * 100:.2f}%"}
                ),
                className="bar-track",
            ),
            html.Span([count(number), html.Span(percent(share), className="muted")], className="bar-number"),
            html.Span(words, className="bar-words") if words else None,
        ]
    )


def nothing_here() -> list[Any]:
    """What the panel says when the selected thing is not in the window."""
    return [
        html.H2("Nothing in this window"),
        html.P(
            "What was selected had no traffic in the time shown. Widen the window, or select something else."
        ),
    ]


def latest(series: Sequence[Json], field: str, show: Any) -> str:
    """The last known value of a column, for a chart's heading."""
    return next((show(point[field]) for point in reversed(series) if point.get(field) is not None), UNKNOWN)
