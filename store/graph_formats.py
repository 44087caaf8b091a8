"""The graph's JSON as text for other tools: Graphviz DOT, Mermaid, and plain table rows.

Pure. What must stay true: names come from telemetry and may hold anything, so every label is escaped
for its format; ids are hexadecimal and safe as they are.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_DOT_SHAPES = {
    "service": "triangle",
    "gateway": "house",
    "external": "plain",
    "unknown": "plain",
    "app": "box",
}
_MERMAID = str.maketrans({"#": "#35;", "&": "#amp;", "<": "#lt;", ">": "#gt;", '"': "#quot;", "`": "#96;"})
_DOT_COLOURS = {"healthy": "darkgreen", "degraded": "darkorange", "failing": "red3"}


def node_label(node: Json) -> str:
    """What a node is called: 'reviews v2', 'reviews.default.svc.cluster.local', 'unknown'."""
    name = node["workload"] or node["app"] or node["service"] or node["kind"]
    if node["kind"] in ("service", "external"):
        name = node["service"] or node["kind"]
    if node["kind"] == "app":
        name = node["app"]
    if node["kind"] == "instance":
        name = node["instance"]
    return f"{name} {node['version']}" if node["version"] and node["version"] not in name else str(name)


def edge_label(edge: Json) -> str:
    """'80.0 % · 3.1/s · 1.2 % err · p95 5.5 ms', leaving out what is not known."""
    unit = "conn/s" if edge["protocol"] == "tcp" else "/s"
    parts = [f"{edge['rate']:.3g}{unit}"]
    if edge["share"] is not None and edge["share"] < 1:
        parts.insert(0, f"{edge['share']:.1%}".replace("%", " %"))
    if edge["success_rate"] is not None and edge["errors"]:
        parts.append(f"{1 - edge['success_rate']:.1%} err".replace("%", " %"))
    if edge["p95_ms"] is not None:
        parts.append(f"p95 {edge['p95_ms']:.3g} ms")
    return " · ".join(parts)


def to_dot(answer: Json) -> str:
    """Graphviz: `dot -Tsvg`."""
    lines = ["digraph sidelight {", "  rankdir=LR;", '  node [shape=ellipse, fontname="sans-serif"];']
    for node in answer["nodes"]:
        shape = _DOT_SHAPES.get(node["kind"], "ellipse")
        colour = _DOT_COLOURS.get(node["health"], "gray40")
        label = _dot_text(_with_namespace(node))
        lines.append(f'  "{node["id"]}" [label="{label}", shape={shape}, color={colour}];')
    for edge in answer["edges"]:
        label = _dot_text(edge_label(edge))
        lines.append(f'  "{edge["source"]}" -> "{edge["target"]}" [label="{label}"];')
    return "\n".join([*lines, "}"]) + "\n"


def to_mermaid(answer: Json) -> str:
    """Mermaid, as GitHub and many wikis draw it."""
    lines = ["flowchart LR"]
    lines += [f'  n{node["id"]}["{_mermaid_text(_with_namespace(node))}"]' for node in answer["nodes"]]
    lines += [
        f'  n{edge["source"]} -->|"{_mermaid_text(edge_label(edge))}"| n{edge["target"]}'
        for edge in answer["edges"]
    ]
    return "\n".join(lines) + "\n"


def to_rows(answer: Json) -> list[Json]:
    """One flat row per edge, for a table: source, target, protocol, requests, rate, errors, …"""
    nodes = {node["id"]: node for node in answer["nodes"]}
    kept = (
        "protocol",
        "requests",
        "rate",
        "errors",
        "client_gone",
        "success_rate",
        "share",
        "p50_ms",
        "p95_ms",
        "p99_ms",
    )
    return [
        {
            "source": _with_namespace(nodes[edge["source"]]),
            "target": _with_namespace(nodes[edge["target"]]),
            **{name: edge[name] for name in kept},
            "server_requests": edge["server"]["requests"],
            "server_success_rate": edge["server"]["success_rate"],
        }
        for edge in answer["edges"]
    ]


def to_table(answer: Json) -> str:
    """The rows as aligned plain text."""
    rows = to_rows(answer)
    if not rows:
        return "no traffic\n"
    header = list(rows[0])
    cells = [header] + [[_cell(row[name]) for name in header] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    return "".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() + "\n" for line in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _with_namespace(node: Json) -> str:
    label = node_label(node)
    return f"{node['namespace']}/{label}" if node["namespace"] and node["kind"] != "service" else label


def _dot_text(text: str) -> str:
    return _cell(text).replace("\\", "\\\\").replace('"', '\\"')


def _mermaid_text(text: str) -> str:
    return _cell(text).translate(_MERMAID)
