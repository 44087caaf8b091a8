"""Tables at a terminal. Every string in them may come from strangers: printed as text, never as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_graph_table(answer: dict[str, Any]) -> None:
    """Edges, busiest first: who calls whom, how often, how well, how fast."""
    names = {node["id"]: node_name(node) for node in answer["nodes"]}
    edges = sorted(answer["edges"], key=lambda edge: (-edge["requests"], names[edge["source"]]))
    console = Console()
    if not edges:
        console.print(
            f"No requests between {answer['from']} and {answer['to']}. "
            "Widen --window, or send telemetry first (see the dashboard's first page)."
        )
        return
    rows = [
        (
            names[edge["source"]],
            names[edge["target"]],
            edge["protocol"],
            f"{edge['requests']:,}",
            _number(edge["rate"], "{:.2f}/s"),
            _number(edge["share"], "{:.1%}"),
            _number(edge["success_rate"], "{:.2%}"),
            _number(edge["p50_ms"], "{:.1f}"),
            _number(edge["p95_ms"], "{:.1f}"),
            _number(edge["p99_ms"], "{:.1f}"),
            " ".join(f"{flag}:{count}" for flag, count in sorted(edge["flags"].items())),
        )
        for edge in edges
    ]
    heads = (
        "source",
        "destination",
        "",
        "requests",
        "rate",
        "share",
        "success",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "flags",
    )
    console.print(table(heads, rows, numeric=range(3, 10), title=f"{answer['from']} to {answer['to']}"))


def node_name(node: dict[str, Any]) -> str:
    name = node.get("workload") or node.get("app") or node.get("service") or node["kind"]
    return f"{name} ({node['namespace']})" if node.get("namespace") else str(name)


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    numeric: Iterable[int] = (),
    title: str | None = None,
) -> Table:
    right = set(numeric)
    drawn = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", header_style="bold")
    for number, head in enumerate(heads):
        drawn.add_column(Text(head), justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(value)) for value in row))
    return drawn


def printable(value: object) -> str:
    """Text without control characters: a terminal obeys those, and telemetry comes from strangers."""
    text = "null" if value is None else str(value)
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
