"""From graph JSON and positions to what the browser draws, and the difference between two drawings.

An element is ``{"group": "nodes" | "edges", "parent": id | None, "at": [x, y] | None, "data": {…}}``
under its id. Ids, sources and targets never change by an update (cytoscape forbids it); everything
else may. What must stay true: ``apply(old, diff(old, new)) == new``, and a patch names only what changed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime
from typing import Any

from dashboard.graph import decorate
from dashboard.graph.layout import Layout, LayoutNode, layout

Json = dict[str, Any]
Elements = dict[str, Json]


def seconds_of(graph: Json) -> float:
    """The length of the graph's window; at least 1."""
    start, end = (datetime.fromisoformat(graph[name]) for name in ("from", "to"))
    return max(1.0, (end - start).total_seconds())


def namespaces_of(graph: Json) -> dict[str, str | None]:
    """Node id → the name of its namespace's box. The cluster stands before it only where there are several:
    a service that no version answered has no cluster, and belongs beside its versions."""
    several = len({node["cluster"] for node in graph["nodes"] if node.get("cluster")}) > 1
    return {
        node["id"]: f"{node['cluster']}/{node['namespace']}"
        if several and node.get("cluster") and node.get("namespace")
        else node.get("namespace")
        for node in graph["nodes"]
    }


def boxes_of(graph: Json) -> dict[str, tuple[str, ...]]:
    """Node id → the boxes it stands in: its namespace, and its app where that has several nodes there."""
    spaces = namespaces_of(graph)
    crowds = Counter(key for node in graph["nodes"] if (key := _app(node, spaces)))
    boxes: dict[str, tuple[str, ...]] = {}
    for node in graph["nodes"]:
        namespace, app = spaces[node["id"]], _app(node, spaces)
        path = (_box_id("ns", namespace),) if namespace else ()
        if app and crowds[app] > 1:
            path = (*path, _box_id("app", *app))
        boxes[node["id"]] = path
    return boxes


def place(graph: Json, previous: Layout | None) -> Layout:
    """Positions for the graph's nodes, stable against the previous ones."""
    boxes = boxes_of(graph)
    nodes = [LayoutNode(node["id"], boxes[node["id"]]) for node in graph["nodes"]]
    return layout(nodes, [(e["source"], e["target"]) for e in graph["edges"]], previous)


def build(graph: Json, positions: Layout, label: str) -> Elements:
    """Every element to draw, boxes first, then nodes, then edges. ``label``: one of `view_state.LABELS`."""
    seconds = seconds_of(graph)
    boxes, spaces = boxes_of(graph), namespaces_of(graph)
    nodes = {node["id"]: node for node in graph["nodes"]}
    found: Elements = {}
    for ident, node in nodes.items():
        _add_boxes(found, boxes[ident], (spaces[ident] or "", str(node.get("app") or "")))
    for ident, node in nodes.items():
        x, y = positions.centres[ident]
        path = boxes[ident]
        found[ident] = _node(node, path[-1] if path else None, [round(x, 1), round(y, 1)], seconds)
    for edge in graph["edges"]:
        if edge["source"] in nodes and edge["target"] in nodes:
            found[edge["id"]] = _edge(edge, nodes, label, seconds)
    return found


def diff(old: Elements, new: Elements) -> Json:
    """What turns ``old`` into ``new``.

    ``{"put": {id: element}, "drop": [id], "data": {id: {changed}}, "at": {id: [x, y]}, "parent": {id: id}}``
    """
    patch: Json = {
        "put": {},
        "drop": [ident for ident in old if ident not in new],
        "data": {},
        "at": {},
        "parent": {},
    }
    for ident, element in new.items():
        before = old.get(ident)
        if before is None:
            patch["put"][ident] = element
            continue
        changed = {k: v for k, v in element["data"].items() if before["data"].get(k) != v}
        if changed:
            patch["data"][ident] = changed
        if element["at"] != before["at"]:
            patch["at"][ident] = element["at"]
        if element["parent"] != before["parent"]:
            patch["parent"][ident] = element["parent"]
    return patch


def apply(old: Elements, patch: Json) -> Elements:
    """What a browser has after a patch; the specification of the adapter in assets/graph.js."""
    kept = {ident: element for ident, element in old.items() if ident not in set(patch["drop"])} | patch[
        "put"
    ]
    return {
        ident: {
            **element,
            "data": element["data"] | patch["data"].get(ident, {}),
            "at": patch["at"].get(ident, element["at"]),
            "parent": patch["parent"].get(ident, element["parent"]),
        }
        for ident, element in kept.items()
    }


def _app(node: Json, spaces: dict[str, str | None]) -> tuple[str, str] | None:
    namespace, app = spaces[node["id"]], node.get("app")
    return (namespace, str(app)) if namespace and app else None


def _box_id(kind: str, *names: str) -> str:
    """Readable, unless a name is too long to be sent again with every element."""
    text = "/".join(names)
    return f"{kind}:{text if len(text) <= 120 else hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def _add_boxes(found: Elements, path: tuple[str, ...], titles: tuple[str, str]) -> None:
    for depth, box in enumerate(path):
        data = {"kind": ("namespace", "app")[depth], "name": decorate.shorten(titles[depth], 40)}
        parent = path[depth - 1] if depth else None
        found.setdefault(box, {"group": "nodes", "parent": parent, "at": None, "data": data})


def _node(node: Json, parent: str | None, at: list[float], seconds: float) -> Json:
    data = {
        "kind": node["kind"],
        "name": decorate.shorten(decorate.node_name(node)),
        "detail": decorate.node_detail(node, seconds),
        "health": node["health"],
        "says": decorate.describe_node(node, seconds),
        "find": " ".join(
            str(node[k]) for k in ("namespace", "workload", "app", "version", "service") if node.get(k)
        ).lower()[:300],
    }
    return {"group": "nodes", "parent": parent, "at": at, "data": data}


def _edge(edge: Json, nodes: dict[str, Json], label: str, seconds: float) -> Json:
    full, short = decorate.edge_labels(edge, label, seconds)
    mtls = edge.get("mtls")
    data = {
        "source": edge["source"],
        "target": edge["target"],
        "label": full,
        "short": short,
        "split": decorate.split(edge.get("share")),
        "health": decorate.edge_health(edge),
        "protocol": edge.get("protocol"),
        "width": decorate.edge_width(edge.get("rate")),
        "lock": "" if mtls is None or mtls <= 0 else "all" if mtls >= 1 else "some",
        "rate": round(edge.get("rate") or 0, 2),
        "ms": round(edge.get("p50_ms") or 0, 1),
        "bad": round(1 - edge["success_rate"], 3) if edge.get("success_rate") is not None else 0,
        "says": decorate.describe_edge(edge, nodes[edge["source"]], nodes[edge["target"]], seconds),
    }
    return {"group": "edges", "parent": None, "at": None, "data": data}
