"""Counts come from rows or, once these are sealed, from `edges_1m`: nobody can tell from an answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.engine import Store
from store.queries import Queries
from store.query_types import GraphQuery, TimeseriesQuery, Window
from tests.store.journals import NOON, batch, observation, open_store, write_journal
from tests.store.test_edges import CASES, case_batch

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

FIRST, LAST = CASES[0].noon, CASES[-1].noon
SIZES = ("request_bytes", "response_bytes")
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def windows() -> list[Window]:
    """Some cases whole; and of one windows that are whole minutes, cut minutes, or within one."""
    noon = CASES[0].noon
    return [Window(case.noon, case.noon + 5 * MINUTE) for case in CASES[::12]] + [
        Window(noon, noon + 2 * MINUTE),
        Window(noon + SECOND, noon + 3 * MINUTE - 20 * SECOND),
        Window(noon, noon + 10 * SECOND),
    ]


def graphs(store: Store) -> list[dict[str, Any]]:
    return [Queries(store).graph(GraphQuery(window)) for window in windows()]


@pytest.mark.slow
def test_rows_count_the_same_before_they_are_sealed_half_sealed_and_sealed(tmp_path: Path) -> None:
    """Cases of `tests/store/cases`, whole and in windows that cut minutes, answer by answer."""
    batches = [case_batch(number, case) for number, case in enumerate(CASES)]
    write_journal(tmp_path / "half" / "journal", "cases-1", batches[::2])
    store = open_store(tmp_path / "half")
    store.poll_once()
    write_journal(tmp_path / "half" / "journal", "cases-2", batches[1::2])
    store.poll_once(seal=False)
    half = graphs(store)
    store.seal(all=True)
    assert rolled_up(store, FIRST, LAST + 5 * MINUTE) > 100
    sealed = graphs(store)
    store.stop()

    write_journal(tmp_path / "hot" / "journal", "cases-1", batches)
    store = open_store(tmp_path / "hot")
    store.poll_once(seal=False)
    assert rolled_up(store, FIRST, LAST + 5 * MINUTE) == 0
    hot = graphs(store)
    store.stop()
    assert all(graph["edges"] for graph in hot)
    assert half == hot
    assert sealed == hot


def test_a_series_counts_the_same_by_minutes_and_by_seconds(tmp_path: Path) -> None:
    """Whole minutes come from the rollup, shorter steps from rows: they add up to the same."""
    rows = [observation(second, duration_us=1000 * second + 1) for second in range(0, 170, 7)]
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=rows)])
    store = open_store(tmp_path)
    store.poll_once()
    queries = Queries(store)
    window = Window(NOON, NOON + 3 * MINUTE)
    [edge] = queries.graph(GraphQuery(window))["edges"]
    minutes, steps = (
        queries.timeseries(TimeseriesQuery(window, edge=edge["id"], step_s=seconds))["client"]
        for seconds in (60, 20)
    )
    store.stop()
    assert [step["requests"] for step in minutes] == [9, 9, 7]
    by_threes = [sum(step["requests"] for step in steps[at : at + 3]) for at in (0, 3, 6)]
    assert by_threes == [step["requests"] for step in minutes]
    assert sum(step["requests"] for step in minutes) == edge["requests"] == 25


@pytest.mark.parametrize("column", ["request_bytes", "response_bytes", "duration_us"])
def test_sums_past_the_largest_number_are_the_largest_and_fail_no_question(
    tmp_path: Path, column: str
) -> None:
    """Sizes are what somebody sent: two of the largest there are, counted from rows and from the rollup."""
    largest = 2**63 - 1
    huge = [observation(second, **{column: largest}) for second in (1, 2)]
    write_journal(tmp_path / "journal", "huge-1", [batch("1", observations=huge)])
    store = open_store(tmp_path)
    store.poll_once(seal=False)
    query = GraphQuery(Window(NOON, NOON + MINUTE))
    hot = Queries(store).graph(query)
    store.seal(all=True)
    assert rolled_up(store, NOON, NOON + MINUTE) == 2
    sealed = Queries(store).graph(query)
    store.stop()
    assert hot == sealed
    (edge,) = hot["edges"]
    assert edge["requests"] == 2
    told = {"duration_us": edge["avg_ms"] * 2 * 1000} | {name: edge[name] for name in SIZES}
    assert float(told[column]) == float(largest)
    assert [told[name] for name in SIZES if name != column] == [None] * len(set(SIZES) - {column})


def rolled_up(store: Store, start: datetime, end: datetime) -> int:
    with store.reader(start, end) as cursor:
        return cursor.execute('select coalesce(sum("rows"), 0)::bigint from edges_1m').fetchone()[0]
