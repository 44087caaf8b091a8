"""The graph as text for other tools: DOT (Graphviz) and Mermaid. Pure: the JSON of /api/graph in, text out.

What must stay true: names come from strangers, so each is quoted for its format and cannot leave its label.
"""

from __future__ import annotations

from typing import Any

Graph = dict[str, Any]


def to_dot(graph: Graph) -> str:
    """A left-to-right digraph; an edge is labelled with rate, errors and, on a canary, its share."""
    lines = ["digraph sidelight {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    lines += [f"  {_dot(node['id'])} [label={_dot(_name(node))}];" for node in graph["nodes"]]
    lines += [
        f"  {_dot(edge['source'])} -> {_dot(edge['target'])} [label={_dot(_label(edge))}];"
        for edge in graph["edges"]
    ]
    return "\n".join([*lines, "}", ""])


def to_mermaid(graph: Graph) -> str:
    """A Mermaid flowchart with the same labels."""
    numbers = {node["id"]: f"n{number}" for number, node in enumerate(graph["nodes"])}
    lines = ["flowchart LR"]
    lines += [f"  {numbers[node['id']]}[{_mermaid(_name(node))}]" for node in graph["nodes"]]
    lines += [
        f"  {numbers[edge['source']]} -->|{_mermaid(_label(edge))}| {numbers[edge['target']]}"
        for edge in graph["edges"]
    ]
    return "\n".join([*lines, ""])


def _name(node: dict[str, Any]) -> str:
    name = node["workload"] or node["app"] or node["service"] or node["kind"]
    return f"{name} ({node['namespace']})" if node["namespace"] else str(name)


def _label(edge: dict[str, Any]) -> str:
    parts = [f"{edge['rate']:.3g}/s"]
    if edge["errors"]:
        parts.append(f"{edge['errors']} errors")
    if edge["share"] is not None and edge["share"] < 1:
        parts.append(f"{edge['share']:.1%}")
    return ", ".join(parts)


def _dot(text: str) -> str:
    safe = "".join(character if character.isprintable() else " " for character in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mermaid(text: str) -> str:
    """Quoted, with everything but letters, digits and plain punctuation as numeric entities."""
    plain = set(" .,-_/:()%")
    return '"' + "".join(c if c.isalnum() or c in plain else f"#{ord(c)};" for c in text) + '"'
