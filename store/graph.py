"""Facts → graph → JSON (`GET /api/graph`): who called whom, how often, how well, how fast.

A pipeline: `ask_facts` (SQL) → `count` (adds up) and `add_latencies` → `graph_json` (decorates and sorts).
What must stay true: ids are a pure function of identity and the order is stable, so refreshes differ only where
the traffic did; TCP connections are no requests of a node; what cannot be known is null.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from store.asking import ask_rows
from store.facts import ask_facts
from store.graph_health import Traffic, answer_kind, health_of
from store.kept_rows import KeptRows
from store.metric_facts import latency_from
from store.node_ids import id_of, number_of
from store.query_types import GraphQuery
from store.tally import Codes, Latency, Outcomes, Tally, codes_of, numbers, quantiles_ms, sums_by, tallies

Json = dict[str, Any]

_VERSIONED = ("workload", "app", "instance", "gateway", "external")
_LOGS = ("als", "otlp_log", "file", "ztunnel")


@dataclass
class Edge:
    """One edge: both views, and what its parts say about it."""

    source: int
    target: int
    protocol: str
    client: Tally = field(default_factory=Tally)
    server: Tally = field(default_factory=Tally)
    traffic: Traffic = field(default_factory=Traffic)
    services: dict[str, int] = field(default_factory=dict)
    tls: dict[str, int] = field(default_factory=dict)
    quantiles: dict[tuple[str, str | None], list[float]] = field(default_factory=dict)
    # Where the percentiles of a view and leg come from, if not from rows: 'rollup', 'buckets'.
    estimated: dict[tuple[str, str | None], str] = field(default_factory=dict)


@dataclass
class Node:
    """One node: the sums over its HTTP and gRPC edges, client view."""

    names: Json
    into: Outcomes = field(default_factory=Outcomes)
    out: Outcomes = field(default_factory=Outcomes)
    traffic_in: Traffic = field(default_factory=Traffic)
    traffic_out: Traffic = field(default_factory=Traffic)
    quantiles: list[float] | None = None
    services: dict[str, int] = field(default_factory=dict)


@dataclass
class Graph:
    """Edges by number, nodes by number; numbers are ids (`store.node_ids`)."""

    edges: dict[int, Edge] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)


def answer_graph(cursor: Any, query: GraphQuery, is_exact: bool, kept: KeptRows) -> Json:
    """The JSON of `/api/graph`, asked over a cursor whose relations hold the window.

    ``is_exact``: what `choose_percentiles` said."""
    asked = ask_facts(cursor, query.window, query.type, query.window.microseconds, query.success)
    graph = count(asked.counts, ask_nodes(cursor, query.type, asked.node_numbers()))
    add_latencies(graph, asked.latencies(cursor, is_exact, kept))
    return graph_json(graph, query, is_exact)


def ask_nodes(cursor: Any, grain: str, numbers: Iterable[int]) -> dict[int, Json]:
    """Names of the nodes, by number: their ids, kinds and every field of `make_node`."""
    wanted = sorted(numbers)
    if not wanted:
        return {}
    rows = ask_rows(cursor, "nodes", {"grain": grain, "numbers": wanted})
    found = {number_of(row["id"]): row for row in rows}
    if missing := [number for number in wanted if number not in found]:
        rows = ask_rows(cursor, "metric_nodes", {"grain": grain, "numbers": missing})
        found |= {number_of(row["id"]): row for row in rows}
    return found


def count(counts: pa.Table, names: dict[int, Json]) -> Graph:
    """Add the counts up."""
    graph = Graph(nodes={number: Node(row) for number, row in names.items()})
    edge_no, first, row = np.unique(counts["edge_no"].to_numpy(), return_index=True, return_inverse=True)
    named = counts.select(["source_no", "target_no", "protocol"]).take(first)
    is_server = codes_of(counts["view"]).is_any("server")
    summed = tallies(counts, 2 * row + is_server, 2 * len(edge_no))
    edges = [
        Edge(*told)
        for told in zip(
            *(column.to_pylist() for column in named.columns), summed[::2], summed[1::2], strict=True
        )
    ]
    requests = numbers(counts["requests"])
    # Only the called side's listener knows how the hop was secured; an outbound row tells the hop before.
    tls, service = codes_of(counts["tls"]), codes_of(counts["share_service"])
    is_called = is_server & codes_of(counts["leg"]).is_any("in")
    for at, name, total in sums_by(row, tls, requests, is_called & ~tls.is_any(None)):
        edges[at].tls[name] = total
    for at, name, total in sums_by(row, service, requests, ~is_server & ~service.is_any(None)):
        edges[at].services[name] = total
    is_judged = ~is_server & ~codes_of(counts["outcome"]).is_any("client_gone")
    for at, kind, total in sums_by(row, _answers(counts), requests, is_judged):
        edges[at].traffic.kinds[kind] = edges[at].traffic.kinds.get(kind, 0) + total
    graph.edges = dict(zip(edge_no.tolist(), edges, strict=True))
    for edge in edges:
        _add_edge(graph, edge)
    return graph


def _answers(counts: pa.Table) -> Codes:
    """Of each fact the protocol and the kind of answer."""
    columns = [codes_of(counts[name]) for name in ("protocol", "status_code", "grpc_status", "outcome")]
    told = np.zeros(len(counts), np.int64)
    for one in columns:
        told = told * max(len(one.values), 1) + one.place
    _, first, place = np.unique(told, return_index=True, return_inverse=True)
    answers = zip(*([one.values[at] for at in one.place[first].tolist()] for one in columns), strict=True)
    return Codes(place, [(answer[0], answer_kind(*answer)) for answer in answers])


def add_latencies(graph: Graph, latencies: Iterable[Latency]) -> None:
    """To the edges and nodes they are of."""
    for told in latencies:
        if told.fact == "latency" and told.edge_no in graph.edges:
            edge = graph.edges[told.edge_no]
            edge.quantiles[told.view, told.leg] = told.quantiles_us
            if (origin := latency_from(told)) != "rows":
                edge.estimated[told.view, told.leg] = origin
        elif told.fact == "node" and told.view == "client" and told.target_no in graph.nodes:
            graph.nodes[told.target_no].quantiles = told.quantiles_us


def _add_edge(graph: Graph, edge: Edge) -> None:
    """To the sums of its two nodes."""
    caller, callee = graph.nodes[edge.source], graph.nodes[edge.target]
    caller.traffic_out.join(edge.traffic)
    callee.traffic_in.join(edge.traffic)
    for service, requests in edge.services.items():
        callee.services[service] = callee.services.get(service, 0) + requests
    if edge.protocol != "tcp":
        caller.out.join(edge.client)
        callee.into.join(edge.client)


def graph_json(graph: Graph, query: GraphQuery, is_exact: bool) -> Json:
    """The graph as design.md §4 gives it, cut to the asked namespaces, in a stable order."""
    shares = _shares(graph)
    kept = {
        number: edge for number, edge in graph.edges.items() if _in_namespaces(graph, edge, query.namespaces)
    }
    touched = {end for edge in kept.values() for end in (edge.source, edge.target)}
    order = sorted(touched, key=lambda number: _node_order(graph.nodes[number].names))
    place = {number: index for index, number in enumerate(order)}
    edges = sorted(
        kept.items(), key=lambda item: (place[item[1].source], place[item[1].target], item[1].protocol)
    )
    return {
        "from": rfc3339(query.window.from_time),
        "to": rfc3339(query.window.to_time),
        "type": query.type,
        "success": query.success,
        "exact": is_exact and not any(edge.estimated for edge in graph.edges.values()),
        "nodes": [_node_json(graph.nodes[number]) for number in order],
        "edges": [
            _edge_json(number, edge, shares.get(number), query.window.seconds) for number, edge in edges
        ],
    }


def _in_namespaces(graph: Graph, edge: Edge, namespaces: tuple[str, ...]) -> bool:
    return not namespaces or any(
        graph.nodes[end].names["namespace"] in namespaces for end in (edge.source, edge.target)
    )


def _node_order(names: Json) -> tuple[str, ...]:
    parts = ("namespace", "app", "kind", "workload", "service", "version", "instance", "cluster", "id")
    return tuple(names[part] or "" for part in parts)


def _shares(graph: Graph) -> dict[int, float]:
    """Edge number → share of what any version of the same service answered this source."""
    answered: dict[tuple[int, str, str], int] = {}
    mine: dict[int, tuple[tuple[int, str, str], int]] = {}
    for number, edge in graph.edges.items():
        if graph.nodes[edge.target].names["kind"] not in _VERSIONED or not edge.services:
            continue
        for service, requests in edge.services.items():
            key = (edge.source, service, edge.protocol)
            answered[key] = answered.get(key, 0) + requests
        service = max(edge.services, key=lambda name: (edge.services[name], name))
        mine[number] = ((edge.source, service, edge.protocol), edge.services[service])
    return {number: requests / answered[key] for number, (key, requests) in mine.items() if answered[key]}


def _node_json(node: Node) -> Json:
    quantiles = quantiles_ms(node.quantiles)
    service = node.names["service"]
    if service is None and node.names["kind"] in _VERSIONED and node.services:
        service = max(node.services, key=lambda name: (node.services[name], name))
    return {
        **node.names,
        "service": service,
        "requests_in": node.into.requests,
        "requests_out": node.out.requests,
        "success_rate_in": node.into.success_rate,
        "p50_ms_in": quantiles["p50_ms"],
        "p95_ms_in": quantiles["p95_ms"],
        "p99_ms_in": quantiles["p99_ms"],
        "health": health_of((node.traffic_in, node.traffic_out)),
    }


def _edge_json(number: int, edge: Edge, share: float | None, seconds: float) -> Json:
    client, server = edge.client, edge.server
    shown = ("client", client.best_leg)
    latency = quantiles_ms(edge.quantiles.get(shown))
    behind = quantiles_ms(edge.quantiles.get(("server", "in")))
    known = sum(edge.tls.values())
    return {
        "id": id_of(number),
        "source": id_of(edge.source),
        "target": id_of(edge.target),
        "protocol": edge.protocol,
        "counted_from": _counted_from(client.signals or server.signals),
        "reporter": _reporter(client.legs),
        "latency_from": edge.estimated.get(shown, "rows"),
        "requests": client.requests,
        "rate": client.requests / seconds,
        "errors": client.errors,
        "client_gone": client.client_gone,
        "unknown": client.unknown,
        "success_rate": client.success_rate,
        "codes": _sorted(client.codes),
        "grpc_codes": _sorted(client.grpc_codes),
        "flags": _sorted(client.flags),
        **latency,
        "avg_ms": client.avg_ms,
        "share": share,
        "configured_share": None,
        "mtls": edge.tls.get("mutual", 0) / known if known else None,
        "attempts": client.attempts,
        "request_bytes": client.request_bytes,
        "response_bytes": client.response_bytes,
        "server": {
            "requests": server.requests,
            "errors": server.errors,
            "success_rate": server.success_rate,
            "codes": _sorted(server.codes),
            "flags": _sorted(server.flags),
            "p50_ms": behind["p50_ms"],
            "p95_ms": behind["p95_ms"],
            "p99_ms": behind["p99_ms"],
        },
    }


def _sorted(counts: dict[str, int]) -> Json:
    return {name: counts[name] for name in sorted(counts)} if len(counts) > 1 else counts


def _counted_from(signals: Iterable[str]) -> str:
    kinds = {"access_log" if signal in _LOGS else signal for signal in signals}
    return kinds.pop() if len(kinds) == 1 else "mixed"


def _reporter(legs: dict[str, int]) -> str:
    if len(legs) > 1:
        return "mixed"
    return "source" if "out" in legs else "destination"


def rfc3339(moment: datetime) -> str:
    """Naive UTC → '2026-11-21T12:00:00Z', with microseconds only where there are any."""
    return moment.isoformat() + "Z"
