"""Percentiles of long windows come from the rollup: counts are those of the rows, percentiles within 1 % of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.engine import Store
from store.queries import Queries
from store.query_types import GraphQuery, TimeseriesQuery, Window
from tests.store.asked_store import PODS, identity
from tests.store.journals import NOON, ask, batch, observation, open_store, write_journal

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HALF_HOUR = Window(NOON, NOON + 30 * MINUTE)
WINDOWS = [HALF_HOUR, Window(NOON + 17 * SECOND, NOON + 29 * MINUTE + 41.5 * SECOND)]
PERCENTILES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p50_ms_in", "p95_ms_in", "p99_ms_in")


def _durations(draw: np.random.Generator) -> dict[str, np.ndarray]:
    """What a service takes, in µs, by its name: distributions, and as few requests as there may be."""
    return {
        "lognormal": draw.lognormal(8.5, 0.8, 900),
        "two-humps": np.where(draw.random(700) < 0.93, draw.normal(900, 40, 700), draw.normal(2e6, 3e5, 700)),
        "heavy": 300 * (1 + draw.pareto(1.1, 800)),
        "always-alike": np.full(60, 12_345),
        "uniform": draw.uniform(1, 5000, 500),
        "microseconds": draw.integers(1, 9, 120),
        "three": np.array([1000, 40_000, 900_000]),
        "two": np.array([777, 123_456]),
        "one": np.array([5_000_000_000]),
    }


def _address(service: str) -> str:
    return f"127.42.1.{1 + list(_durations(np.random.default_rng(1))).index(service)}"


def _rows() -> list[dict[str, Any]]:
    """Each request as its caller and its callee saw it, over half an hour; some upgrades, which have no latency."""
    draw = np.random.default_rng(5)
    rows = []
    for service, durations in _durations(draw).items():
        address = _address(service)
        host = f"outbound|9080||{service}.default.svc.cluster.local"
        for number, duration_us in enumerate(durations.astype(int).tolist()):
            second = float(draw.uniform(0, 1800))
            told = {
                "status_code": 101 if number % 97 == 96 else 503 if number % 11 == 10 else 200,
                "attempts": 1,
            }
            called = {"upstream_cluster": host, "upstream_address": f"{address}:9080"}
            rows.append(observation(second, duration_us=duration_us, **called, **told))
            rows.append(
                observation(
                    second, duration_us=max(duration_us - 90, 1), reporter="destination",
                    emitter=f"{service}-1.default", upstream_cluster=host.replace("outbound", "inbound"),
                    authority=f"{service}:9080",
                    downstream_local_address=f"{address}:9080", upstream_address=f"{address}:19080", **told,
                )
            )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Three sealed journals with rows of every minute each, a late one, and rows that are not sealed."""
    folder = tmp_path_factory.mktemp("long")
    rows = _rows()
    services = _durations(np.random.default_rng(1))
    told = [identity(*PODS[0])] + [identity(f"{name}-1", _address(name), name, "v1") for name in services]
    write_journal(folder / "journal", "c-1", [batch("1", observations=rows[::5], identities=told)])
    write_journal(folder / "journal", "c-2", [batch("2", observations=rows[1::5])])
    write_journal(folder / "journal", "c-3", [batch("3", observations=rows[2::5])])
    opened = open_store(folder, retired_kept_s=0)
    opened.poll_once()
    write_journal(folder / "journal", "late-1", [batch("4", observations=rows[3::5])])
    opened.poll_once()
    write_journal(folder / "journal", "hot-1", [batch("5", observations=rows[4::5])])
    opened.poll_once(seal=False)
    yield opened
    opened.stop()


@pytest.fixture(scope="module")
def queries(store: Store) -> Queries:
    return Queries(store)


def counts_of(graph: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Everything that must not differ, by id."""
    found = {}
    for one in graph["nodes"] + graph["edges"]:
        told = {key: value for key, value in one.items() if key not in PERCENTILES and key != "latency_from"}
        if "server" in told:
            told["server"] = {k: v for k, v in told["server"].items() if k not in PERCENTILES}
        found[one["id"]] = told
    return found


def percentiles_of(graph: dict[str, Any]) -> dict[tuple[str, str], float]:
    found = {}
    for one in graph["nodes"] + graph["edges"]:
        parts = {"": one, "server ": one.get("server", {})}
        found |= {
            (one["id"], part + name): told[name]
            for part, told in parts.items()
            for name in PERCENTILES
            if told.get(name) is not None
        }
    return found


def agree(rolled: dict[str, Any], exact: dict[str, Any]) -> None:
    """The counts are equal and every percentile is within 1 %."""
    assert counts_of(rolled) == counts_of(exact)
    told, true = percentiles_of(rolled), percentiles_of(exact)
    assert told.keys() == true.keys()
    assert len(told) > 50
    assert {name: told[name] for name in told} == pytest.approx(true, rel=0.01)


@pytest.mark.parametrize("window", WINDOWS, ids=["whole minutes", "cut minutes"])
@pytest.mark.parametrize("grain", ["version", "service"])
def test_a_long_window_counts_what_its_rows_count(queries: Queries, window: Window, grain: str) -> None:
    """Every field but the percentiles is that of `exact=1`; those are within 1 %, of three requests too."""
    exact = queries.graph(GraphQuery(window, type=grain, exact=True))
    rolled = queries.graph(GraphQuery(window, type=grain))
    assert (exact["exact"], rolled["exact"]) == (True, False)
    assert {edge["latency_from"] for edge in exact["edges"]} == {"rows"}
    assert {edge["latency_from"] for edge in rolled["edges"]} == {"rollup"}
    agree(rolled, exact)


def test_a_short_window_is_exact_by_itself(queries: Queries) -> None:
    """Up to 15 minutes, as the store's settings say."""
    for minutes, is_exact in ((15, True), (16, False)):
        assert queries.graph(GraphQuery(Window(NOON, NOON + minutes * MINUTE)))["exact"] is is_exact


def test_sql_says_of_a_long_window_what_the_graph_says(store: Store, queries: Queries) -> None:
    """`edges(from, to)` takes the same percentiles, to the digit."""
    for window in WINDOWS:
        graph = queries.graph(GraphQuery(window))
        with store.reader(window.from_time - MINUTE, window.to_time + MINUTE) as cursor:
            told = cursor.execute(
                "select id, requests, p50_ms, p99_ms, server_p95_ms from edges($start, $end) order by id",
                {"start": window.from_time, "end": window.to_time},
            ).fetchall()
        wanted = [
            (one["id"], one["requests"], one["p50_ms"], one["p99_ms"], one["server"]["p95_ms"])
            for one in graph["edges"]
        ]
        assert told == sorted(wanted)


@pytest.mark.parametrize("step_s", [47, 60, 400, 3600])
def test_a_long_series_adds_up_to_its_graph(queries: Queries, step_s: int) -> None:
    """Its steps are whole minutes, the first and last cut by the window; one step's percentiles are the graph's."""
    window = WINDOWS[1]
    edges = queries.graph(GraphQuery(window))["edges"]
    edge = max(edges, key=lambda one: one["requests"])
    series = queries.timeseries(TimeseriesQuery(window, step_s, edge=edge["id"]))
    assert series["exact"] is False
    assert series["step_s"] == {47: 60, 400: 420}.get(step_s, step_s)
    steps = series["client"]
    assert sum(step["requests"] for step in steps) == edge["requests"]
    assert sum(step["errors"] or 0 for step in steps) == edge["errors"]
    if step_s == 3600:
        assert [step["p95_ms"] for step in steps] == [edge["p95_ms"]]
    else:
        assert steps[0]["time"] == "2026-11-21T12:00:17Z"
        assert steps[1]["time"] == {60: "2026-11-21T12:01:00Z", 420: "2026-11-21T12:07:00Z"}[series["step_s"]]
        spans = [60 * (60 - 17) / 60] + [60] * (len(steps) - 2) if series["step_s"] == 60 else []
        for step, seconds in zip(steps, spans, strict=False):
            assert step["rate"] is None or step["rate"] == pytest.approx(step["requests"] / seconds)


def test_a_long_series_is_that_of_its_rows(queries: Queries) -> None:
    """Of whole minutes, step by step: counts equal, percentiles within 1 %."""
    edges = queries.graph(GraphQuery(HALF_HOUR))["edges"]
    edge = max(edges, key=lambda one: one["requests"])
    rolled, exact = (
        queries.timeseries(TimeseriesQuery(HALF_HOUR, 120, edge=edge["id"], exact=exact))
        for exact in (False, True)
    )
    assert (rolled["exact"], exact["exact"]) == (False, True)
    for view in ("client", "server"):
        for told, true in zip(rolled[view], exact[view], strict=True):
            assert told.keys() == true.keys()
            for name, value in told.items():
                assert value == (pytest.approx(true[name], rel=0.01) if name in PERCENTILES else true[name])


def test_dropped_rows_leave_counts_and_percentiles_behind(tmp_path: Path) -> None:
    """Of whole minutes they are what they were; nothing is called exact then, asked for or not, short or long."""
    rows = _rows()
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=rows[::2])])
    write_journal(tmp_path / "journal", "c-2", [batch("2", observations=rows[1::2])])
    store = open_store(tmp_path, rows_kept_days=1, retired_kept_s=0)
    store.poll_once()
    queries = Queries(store)
    short = Window(NOON + 3 * MINUTE, NOON + 9 * MINUTE)
    exact, exact_short = (queries.graph(GraphQuery(window, exact=True)) for window in (HALF_HOUR, short))
    rolled = queries.graph(GraphQuery(HALF_HOUR))
    store.tidy(NOON + timedelta(days=2, hours=2))
    assert ask(store, "select count(*) from observations_raw") == [(0,)]
    assert queries.graph(GraphQuery(HALF_HOUR)) == rolled
    assert queries.graph(GraphQuery(HALF_HOUR, exact=True)) == rolled
    agree(queries.graph(GraphQuery(HALF_HOUR)), exact)
    left = queries.graph(GraphQuery(short))
    assert left["exact"] is False
    agree(left, exact_short)
    with store.reader(short.from_time, short.to_time) as cursor:
        said = cursor.execute(
            "select id, p95_ms from edges(?, ?)", [short.from_time, short.to_time]
        ).fetchall()
    assert sorted(said) == sorted((edge["id"], edge["p95_ms"]) for edge in left["edges"])
    # What came since is there whole.
    write_journal(tmp_path / "journal", "c-3", [batch("3", observations=[observation(86_400 * 3)])])
    store.poll_once()
    later = NOON + timedelta(days=3)
    assert queries.graph(GraphQuery(Window(later, later + MINUTE)))["exact"] is True
    store.stop()


def test_rows_lost_with_their_file_are_counted_still(tmp_path: Path) -> None:
    """A segment that cannot be read takes its minutes' exactness with it, not their counts."""
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=[observation(1, duration_us=9_000)])])
    store = open_store(tmp_path, retired_kept_s=0)
    store.poll_once()
    queries, query = Queries(store), GraphQuery(Window(NOON, NOON + MINUTE))
    (before,) = queries.graph(query)["edges"]
    store.stop()
    next((tmp_path / "segments").rglob("*.parquet")).write_bytes(b"nothing")
    store = open_store(tmp_path)
    after = Queries(store).graph(query)
    store.stop()
    (edge,) = after["edges"]
    assert (after["exact"], edge["latency_from"]) == (False, "rollup")
    assert edge["requests"] == before["requests"] == 1
    assert edge["p50_ms"] == pytest.approx(before["p50_ms"], rel=0.01)


def test_a_store_may_be_exact_for_longer(tmp_path: Path) -> None:
    """`exact_window_s`, and anyone's view goes by it too."""
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=[observation(1, duration_us=9_000)])])
    store = open_store(tmp_path, exact_window_s=3600)
    store.poll_once()
    assert Queries(store).graph(GraphQuery(HALF_HOUR))["exact"] is True
    told = store.sql("select p50_ms from edges('2026-11-21T12:00:00', '2026-11-21T12:30:00')", "csv")
    store.stop()
    assert told.split() == [b"p50_ms", b"9.0"]
