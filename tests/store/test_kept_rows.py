"""Measurements of sealed rows are kept between questions, and change no answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from store import kept_rows
from store.database import Error
from store.engine import Store
from store.kept_rows import KeptRows
from store.queries import Queries
from store.query_types import GRAINS, GraphQuery
from tests.store.journals import batch, observation, open_store, row_segments, write_journal
from tests.store.test_edges import CASES, case_batch, window_of

MOVING = [case for case in CASES if "reused" in case.sentence or "minute" in case.sentence]
OTHERS = [case for case in CASES if case not in MOVING][::12]


def _graphs(queries: Queries) -> list[Any]:
    return [
        queries.graph(GraphQuery(window_of(case), type=grain))
        for case in MOVING + OTHERS
        for grain in GRAINS[:2]
    ]


@pytest.mark.slow
def test_sealed_and_kept_rows_answer_as_they_did_when_hot(tmp_path: Path) -> None:
    """Also where a key does not mean the same in every minute: each case in a segment of its own."""
    for number, case in enumerate(MOVING + OTHERS):
        write_journal(tmp_path / "journal", f"case-{number}", [case_batch(number, case)])
    store = open_store(tmp_path)
    store.poll_once(seal=False)
    queries = Queries(store)
    hot = _graphs(queries)
    assert sum(len(graph["edges"]) for graph in hot) > 40
    store.poll_once(seal=True)
    assert len(row_segments(tmp_path)) >= len(MOVING + OTHERS)
    assert _graphs(queries) == hot
    with mock.patch.object(kept_rows, "parquet_sql", side_effect=AssertionError("read again")):
        assert _graphs(queries) == hot
    store.stop()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Three segments of one row each."""
    for number in range(3):
        rows = [observation(number * 60, duration_us=1000 + number)]
        write_journal(tmp_path / "journal", f"kept-{number}", [batch(f"kept {number}", observations=rows)])
    opened = open_store(tmp_path)
    opened.poll_once(seal=True)
    yield opened
    opened.stop()


def _segments(store: Store) -> list[str]:
    return sorted(one.path for one in store.segments if one.table == "observations")


def _take_away(store: Store) -> None:
    for path in row_segments(store.settings.data_dir):
        path.rename(path.with_suffix(".away"))


def test_a_segment_is_read_once(store: Store) -> None:
    """What is kept is not looked for on the disk again."""
    kept = KeptRows(store.settings.data_dir)
    with store.reader() as cursor:
        before = [kept.of(cursor, "observations", path).duration_us.tolist() for path in _segments(store)]
        _take_away(store)
        after = [kept.of(cursor, "observations", path).duration_us.tolist() for path in _segments(store)]
        assert before == after == [[1000], [1001], [1002]]


def test_no_more_is_kept_than_there_is_room_for(store: Store) -> None:
    """The segment that nobody asked for the longest makes room."""
    first, second, third = _segments(store)
    kept = KeptRows(store.settings.data_dir, limit_bytes=50)
    with store.reader() as cursor:
        for path in (first, second, first, third):
            assert kept.of(cursor, "observations", path).size_bytes in range(20, 30)
        _take_away(store)
        kept.of(cursor, "observations", first)
        kept.of(cursor, "observations", third)
        with pytest.raises(Error):
            kept.of(cursor, "observations", second)
