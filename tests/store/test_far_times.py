"""Rows of 1970 and of 2262, as clocks that were never set or have run wild send them: all the way through the store.

2262-04-11 is the last day that nanoseconds since 1970 can name.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.engine import Store
from store.export import export_window
from store.queries import Queries
from store.query_types import GraphQuery, RequestsQuery, TimeseriesQuery, TracesQuery, Window
from tests.store.asked_store import identity
from tests.store.journals import NOON, ask, batch, observation, open_store, row_segments, write_journal
from tests.store.test_published import read

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

BEGIN = datetime(1970, 1, 1)
END = datetime(2262, 4, 11, 23, 47, 16)
MOMENTS = {"1970": BEGIN, "today": NOON, "2262": END}
PODS = [("productpage-1", "127.42.0.3", "productpage", "v1"), ("reviews-2", "127.42.0.6", "reviews", "v2")]
LATER = NOON + timedelta(hours=2)
COUNTS = (
    'SELECT (SELECT count(*) FROM observations_raw), (SELECT sum("rows") FROM edges_1m), '
    "(SELECT count(*) FROM spans_raw), (SELECT count(*) FROM logs_raw), (SELECT count(*) FROM metric_points_raw)"
)


def trace_of(year: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, year)


def rows_at(year: str) -> dict[str, list[dict[str, Any]]]:
    """A request and its caller's span, an application's span, a log record and a point of that moment."""
    moment = MOMENTS[year]
    ns = (moment - BEGIN) // timedelta(microseconds=1) * 1000
    trace = trace_of(year).bytes
    span = {
        "time": moment,
        "time_ns": ns,
        "duration_ns": 5_000_000,
        "trace_id": trace,
        "resource": 0,
        "kind": "server",
    }
    return {
        "identities": [identity(*pod) | {"time": moment} for pod in PODS],
        "observations": [observation(path=f"/{year}", trace_id=trace) | {"time": moment}],
        "resources": [{"resource": 0, "attributes": [("service.name", "reviews")]}],
        "spans": [
            span | {"span_id": 1, "name": "a", "service_name": "reviews"},
            span | {"span_id": 2, "parent_span_id": 1, "name": "b", "service_name": "reviews"},
        ],
        "logs": [{"time": moment, "time_ns": ns, "body": year, "trace_id": trace}],
        "metric_points": [{"time": moment, "name": "x", "value": 1.0}],
    }


def filled(folder: Path, is_merged: bool) -> Store:
    """Sealed rows of the three moments: all in one segment, or in one that three were merged into."""
    store = open_store(folder, retired_kept_s=0.0, rows_kept_days=7.0)
    batches = [batch(year, **rows_at(year)) for year in MOMENTS]
    for number, written in enumerate([[one] for one in batches] if is_merged else [batches]):
        write_journal(folder / "journal", f"c-{number}", written)
    store.poll_once()
    if is_merged:
        assert store.tidy(LATER) > 0
    assert len(row_segments(folder)) == 4
    return store


@pytest.fixture(scope="module", params=[False, True], ids=["sealed", "merged"])
def store(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Store]:
    store = filled(tmp_path_factory.mktemp("far"), request.param)
    yield store
    store.stop()


def around(year: str, by: timedelta = timedelta(seconds=10)) -> Window:
    """A window that holds the moment, as far as the calendar goes."""
    moment = MOMENTS[year]
    return Window(moment if year == "1970" else moment - by, moment + by)


@pytest.mark.parametrize("year", MOMENTS)
@pytest.mark.parametrize("by", [timedelta(seconds=10), timedelta(hours=1)], ids=["exact", "from the rollup"])
def test_each_is_found_at_its_moment(store: Store, year: str, by: timedelta) -> None:
    """By the graph, the series, the table, the search and by its trace id; names are known there."""
    queries, window = Queries(store), around(year, by)
    graph = queries.graph(GraphQuery(window=window))
    assert [edge["requests"] for edge in graph["edges"]] == [1]
    assert graph["exact"] == (by.seconds < 900)
    series = queries.timeseries(TimeseriesQuery(window=window, edge=graph["edges"][0]["id"], step_s=60))
    assert sum(point["requests"] or 0 for point in series["client"]) == 1
    requests = queries.requests(RequestsQuery(window=window))
    assert [row["path"] for row in requests["requests"]] == [f"/{year}"]
    traces = queries.traces(TracesQuery(window=window))
    assert [row["trace_id"] for row in traces["traces"]] == [trace_of(year).hex]
    trace = queries.trace(trace_of(year).hex)
    assert trace is not None
    assert len(trace["spans"]) == 2


def test_anyone_reads_them_and_an_export_has_them(store: Store, tmp_path: Path) -> None:
    """From `sidelight.duckdb`, also without a window."""
    folder = store.settings.data_dir
    assert read(folder, "SELECT path FROM requests ORDER BY time") == [["/1970"], ["/today"], ["/2262"]]
    assert read(folder, "SELECT count(*) FROM edges(TIMESTAMP '1970-01-01', TIMESTAMP '2262-04-12')") == [[1]]
    for year in MOMENTS:
        window = around(year, timedelta(minutes=1))
        rows = export_window(folder, tmp_path / year, window, "parquet", lambda *_: None)
        assert (rows["requests"], rows["spans"], rows["logs"], rows["edges_1m"]) == (1, 2, 1, 1)


@pytest.mark.parametrize("is_merged", [False, True])
def test_they_survive_the_loss_of_the_catalogue_and_age_like_the_others(
    tmp_path: Path, is_merged: bool
) -> None:
    """Age counts from arrival: rows of 1970 do not go at once, rows of 2262 do not stay for ever. Counts go by their
    minute once the rows are gone, those of a minute to come at once."""
    filled(tmp_path, is_merged).stop()
    for path in tmp_path.glob("*.duckdb*"):
        path.unlink()
    store = open_store(tmp_path, retired_kept_s=0.0, rows_kept_days=7.0)
    store.poll_once()
    store.tidy(NOON + timedelta(days=7))
    assert ask(store, COUNTS) == [(3, 3, 6, 3, 3)]
    store.tidy(NOON + timedelta(days=8))
    assert ask(store, COUNTS)[0][0] == 0
    store.upkeep._forget_at = 0.0
    store.tidy(NOON + timedelta(days=99))
    assert ask(store, "SELECT minute FROM edges_1m") == []
    store.stop()
