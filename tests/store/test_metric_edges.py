"""Points in, edges out: the plain-text cases of `tests/store/metric_cases`, and real telemetry, through the real
loader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.decode.otlp_json import decode_metrics_json
from store.engine import Store
from store.frames import Batch
from store.graph_formats import node_label
from store.queries import Queries
from store.query_types import GraphQuery, RequestsQuery, TimeseriesQuery, Window
from tests.collector.captures import exports, json_lines
from tests.store.edge_cases_reader import Case, read_cases
from tests.store.journals import NOON, batch, mark, open_store, write_journal
from tests.store.metric_cases_reader import metric_tables
from tests.store.test_edges import shown

CASES = read_cases(Path(__file__).parent / "metric_cases")
FIVE = timedelta(minutes=5)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store that holds every case."""
    folder = tmp_path_factory.mktemp("metric_cases")
    batches = [one for number, case in enumerate(CASES) for one in _batches(number, case)]
    write_journal(folder / "journal", "cases-1", batches)
    opened = open_store(folder)
    opened.poll_once()
    yield opened
    opened.stop()


@pytest.fixture(scope="module")
def queries(store: Store) -> Queries:
    return Queries(store)


def _batches(number: int, case: Case) -> list[Batch]:
    rows = {"identities": case.identities(), "observations": case.observations(), "spans": case.spans()}
    rows["resources"] = [{"attributes": []}] if rows["spans"] else []
    rows = {name: listed for name, listed in rows.items() if listed}
    return [batch(f"rows {number}", **rows), batch(f"points {number}", **metric_tables(case))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_metric_edges(case: Case, queries: Queries) -> None:
    """Each case gives exactly its edges."""
    graph = queries.graph(GraphQuery(Window(case.noon, case.noon + FIVE)))
    names = {node["id"]: node_label(node).removesuffix(f" {node['version']}") for node in graph["nodes"]}
    assert len(set(names.values())) == len(names), "one thing, one node"
    wanted = case.tables["edges"]
    found = [shown(edge, graph, names, list(wanted[0])) for edge in graph["edges"]]
    assert sorted(map(str, found)) == sorted(map(str, wanted))
    assert graph["exact"] is (not any(edge["latency_from"] == "buckets" for edge in graph["edges"]))
