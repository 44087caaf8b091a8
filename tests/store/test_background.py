"""Probes, scrapes and exports: kept and marked, counted by nobody who does not ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.engine import Store
from store.queries import Queries
from store.query_types import GraphQuery, RequestsQuery, TimeseriesQuery, Window
from tests.store.edge_cases_reader import Case, read_cases
from tests.store.journals import batch, open_store, write_journal


@pytest.fixture(scope="module")
def case() -> Case:
    """A pod with two requests of a user, five probes, six scrapes, and four exports of its caller."""
    cases = read_cases(Path(__file__).parent / "cases")
    return next(case for case in cases if case.sentence.startswith("Probes, scrapes"))


@pytest.fixture(scope="module")
def store(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("background")
    rows = batch("export", identities=case.identities(), observations=case.observations())
    write_journal(folder / "journal", "background-1", [rows])
    opened = open_store(folder)
    opened.poll_once(seal=True)
    yield opened
    opened.stop()


@pytest.fixture
def window(case: Case) -> Window:
    return Window(case.noon, case.noon.replace(minute=5))


@pytest.mark.slow
def test_asked_for_it_is_in_graph_series_and_rows(store: Store, window: Window) -> None:
    """`background=1` counts everything, and each row says what it is; the next question does not."""
    queries = Queries(store)
    shown = queries.graph(GraphQuery(window, background=True))
    assert sum(edge["requests"] for edge in shown["edges"]) == 17
    (edge,) = queries.graph(GraphQuery(window))["edges"]
    assert edge["requests"] == 2
    rows = queries.requests(RequestsQuery(window, background=True))["requests"]
    kinds = [row["background"] for row in rows]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        None: 2, "probe": 5, "scrape": 3, "proxy": 3, "export": 4
    }  # fmt: skip
    rows = queries.requests(RequestsQuery(window))["requests"]
    assert [row["background"] for row in rows] == [None, None]
    pay = edge["target"]
    for background, wanted in ((True, 13), (False, 2)):
        series = queries.timeseries(TimeseriesQuery(window, 300, node=pay, background=background))
        assert [point["requests"] for point in series["client"]] == [wanted]


@pytest.mark.slow
def test_sql_keeps_it_in_observations_and_leaves_it_out_of_requests(store: Store) -> None:
    """Every row is in `observations` with its mark; `requests` has those of users."""
    told = store.sql(
        "select background, count(*) as n from observations group by all order by all nulls last", "csv"
    )
    assert told.decode().split() == ["background,n", "export,4", "probe,5", "proxy,3", "scrape,3", ",4"]
    assert store.sql("select count(*) as n from requests", "csv").decode().split() == ["n", "2"]
