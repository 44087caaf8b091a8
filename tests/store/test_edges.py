"""Rows in, edges out: the plain-text cases of `tests/store/cases`, through the real loader."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from store.engine import Store
from store.frames import Batch
from store.graph_formats import node_label
from store.queries import Queries
from store.query_types import GraphQuery, Window
from store.span_links import keep_span_links
from tests.store.edge_cases_reader import Case, Row, read_cases
from tests.store.journals import batch, open_store, write_journal

CASES = read_cases(Path(__file__).parent / "cases")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store that holds every case."""
    folder = tmp_path_factory.mktemp("cases")
    batches = [case_batch(number, case) for number, case in enumerate(CASES)]
    write_journal(folder / "journal", "cases-1", batches)
    opened = open_store(folder)
    opened.poll_once()
    yield opened
    opened.stop()


@pytest.fixture(scope="module")
def queries(store: Store) -> Queries:
    return Queries(store)


def case_batch(number: int, case: Case) -> Batch:
    rows = {"identities": case.identities(), "observations": case.observations(), "spans": case.spans()}
    rows["resources"] = [{"attributes": []}] if rows["spans"] else []
    return batch(f"export {number}", **{name: listed for name, listed in rows.items() if listed})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_edges(case: Case, queries: Queries) -> None:
    """Each case gives exactly its edges; `edges TYPE` are those between nodes of another type than versions."""
    asked = {name: wanted for name, wanted in case.tables.items() if name.split()[0] == "edges"}
    assert asked
    for name, wanted in asked.items():
        graph = queries.graph(
            GraphQuery(window_of(case), type=name.removeprefix("edges").strip() or "version")
        )
        names = {node["id"]: node_label(node).removesuffix(f" {node['version']}") for node in graph["nodes"]}
        found = [shown(edge, graph, names, list(wanted[0])) for edge in graph["edges"]]
        assert sorted(map(str, found)) == sorted(map(str, wanted))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_sql_says_what_the_graph_says(case: Case, store: Store, queries: Queries) -> None:
    """SQL's `edges` and the rows behind them count what the graph counts, case by case."""
    window = window_of(case)
    graph = queries.graph(GraphQuery(window))
    asked = {"start": window.from_time, "end": window.to_time}
    with store.reader(window.from_time, window.to_time) as cursor:
        keep_span_links(cursor, window)  # once a case, as a question of the API does
        told = "select id, requests, errors, p95_ms from edges($start, $end) order by all"
        table = cursor.execute(told, asked).fetchall()
        counted = "select count(*) from lane_rows($start, $end, 'version') where view = 'client'"
        [(requests,)] = cursor.execute(counted, asked).fetchall()
    assert table == sorted((e["id"], e["requests"], e["errors"], e["p95_ms"]) for e in graph["edges"])
    assert requests == sum(edge["requests"] for edge in graph["edges"])


def window_of(case: Case) -> Window:
    return Window(case.noon, case.noon + timedelta(minutes=5))


def shown(edge: dict[str, Any], graph: dict[str, Any], names: dict[str, str], columns: list[str]) -> Row:
    """The edge as a row of a case's table."""
    target = next(node for node in graph["nodes"] if node["id"] == edge["target"])
    values = {
        **edge,
        "source": names[edge["source"]],
        "target": names[edge["target"]],
        "kind": target["kind"],
        "gone": edge["client_gone"],
        "success": edge["success_rate"],
        "server": edge["server"]["requests"],
        "server_errors": edge["server"]["errors"],
        "counted": edge["counted_from"],
        "namespace": target["namespace"],
        "cluster": target["cluster"],
        "bytes": edge["request_bytes"],
        "codes": _counts(edge["codes"]),
        "flags": _counts(edge["flags"]),
        "grpc": _counts(edge["grpc_codes"]),
    }
    return {column: _text(values[column]) for column in columns}


def _counts(counts: dict[str, int]) -> str | None:
    return ",".join(f"{name}={count}" for name, count in counts.items()) or None


def _text(value: Any) -> str | None:
    return None if value is None else f"{value:g}" if isinstance(value, float) else str(value)
