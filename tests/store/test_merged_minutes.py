"""Counts merged over spans of minutes say what the minutes said, to the digit, whatever comes late."""

from __future__ import annotations

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

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
MIDNIGHT = NOON - 12 * HOUR
AFTER = MIDNIGHT + 49 * HOUR
WINDOWS = [
    Window(MIDNIGHT, MIDNIGHT + 48 * HOUR),
    Window(MIDNIGHT + 17 * SECOND, MIDNIGHT + 47 * HOUR + 41 * MINUTE + 3 * SECOND),
    Window(MIDNIGHT + 7 * HOUR + 13 * MINUTE, MIDNIGHT + 26 * HOUR + 9 * MINUTE),
    Window(NOON + 50 * MINUTE + SECOND, NOON + 130 * MINUTE),
]
SUMS = (
    'sum("rows")::bigint, sum(duration_us_sum)::bigint, sum(duration_rows)::bigint, sum(request_bytes)::bigint, '
    "sum(attempts)::bigint, sum(attempts_rows)::bigint, sum(list_sum(map_values(latency)))::bigint, "
    "sum(list_sum(list_transform(map_entries(latency), lambda one: one.key::bigint * one.value::bigint)))::bigint"
)


def traffic(seed: int, rows: int) -> list[dict[str, Any]]:
    """Two days of calls in which hardly an hour is like the next.

    Of the callers one's proxy is silent for hours (then its callee's rows count), one reports to a file as well, one
    changes its address's owner, one's address nobody names; some speak TCP, some hide their caller.
    """
    draw = np.random.default_rng(seed)
    told = []
    for _ in range(rows):
        second = float(draw.uniform(-12 * 3600, 36 * 3600))
        caller = int(draw.integers(0, 5))
        address, name = f"127.42.0.{30 + caller}", f"caller{caller}-1.default"
        hour = int(second // 3600)
        common = {
            "duration_us": int(draw.lognormal(8, 1)), "status_code": int(draw.choice([200, 200, 200, 404, 503, 101])),
            "request_bytes": int(draw.integers(1, 900)), "request_id": f"r{draw.integers(0, 10**12)}",
        }  # fmt: skip
        if draw.random() < 0.1:
            common |= {"protocol": "tcp", "status_code": None, "response_code_details": None}
            common["response_code_details"] = (
                "rbac_access_denied_matched_policy[x]" if draw.random() < 0.4 else None
            )
        speaks = not (caller == 0 and hour % 3 == 0) and not (
            caller == 1 and 20 * 60 < second % 3600 < 40 * 60
        )
        if speaks and caller != 4:
            out = observation(second, source_address=f"{address}:40000", emitter=name, attempts=1, **common)
            told.append(out)
            if caller == 2 and hour % 2:
                told.append(out | {"signal": "file"})
        hidden = {"source_address": None} if caller == 3 and draw.random() < 0.2 else {}
        inbound = {
            "reporter": "destination", "emitter": "reviews-2.default", "upstream_cluster": "inbound|9080||",
            "source_address": f"{address}:40000", "downstream_local_address": "127.42.0.6:9080",
            "upstream_address": "127.42.0.6:19080",
        }  # fmt: skip
        if draw.random() < 0.9:
            told.append(observation(second + 0.002, **(common | inbound | hidden)))
    return told


def identities() -> list[dict[str, Any]]:
    """The callee, four callers, and whom the third's address belongs to from noon on."""
    told = [identity(*PODS[1])] + [
        identity(f"caller{n}-1", f"127.42.0.{30 + n}", f"caller{n}", "v1") | {"time": MIDNIGHT}
        for n in range(4)
    ]
    return [*told, identity("other-1", "127.42.0.32", "other", "v9") | {"time": NOON + 20 * MINUTE}]


def filled(folder: Path, early: list[dict[str, Any]], **settings: Any) -> Store:
    """``early`` sealed, in two journals."""
    for number in (0, 1):
        told = {"identities": identities()} if number == 0 else {}
        write_journal(
            folder / "journal", f"c-{number}", [batch(f"{number}", observations=early[number::2], **told)]
        )
    store = open_store(folder, retired_kept_s=0, rows_kept_days=60, **settings)
    store.poll_once()
    return store


def add(store: Store, folder: Path, name: str, rows: list[dict[str, Any]], seal: bool) -> None:
    write_journal(folder / "journal", name, [batch(name, observations=rows)])
    store.poll_once(seal=seal)


def answers(store: Store) -> list[dict[str, Any]]:
    queries = Queries(store)
    told = [queries.graph(GraphQuery(window)) for window in WINDOWS]
    for window in WINDOWS[:2]:
        node = max(told[0]["nodes"], key=lambda one: one["requests_in"])["id"]
        edge = max(told[0]["edges"], key=lambda one: one["requests"])["id"]
        told += [queries.timeseries(TimeseriesQuery(window, 7200, edge=edge))]
        told += [queries.timeseries(TimeseriesQuery(window, 1800, node=node))]
    return told


def spans(store: Store) -> dict[int, int]:
    """How many spans are merged, by their length."""
    found = ask(store, "SELECT span_minutes, count(*) FROM merged_minutes WHERE is_merged GROUP BY ALL")
    return dict(found)


def check_spans(store: Store) -> None:
    """Each merged span holds what its minutes hold."""
    for length in (10, 60, 360, 1440):
        merged = ask(
            store,
            f"SELECT since, {SUMS} FROM edges_merged WHERE span_minutes = {length} GROUP BY since ORDER BY since",
        )
        minutes = ask(
            store,
            f"SELECT span.since, {SUMS} FROM edges_1m JOIN merged_minutes AS span ON minute >= span.since "
            f"AND minute < span.since + to_minutes({length}) WHERE is_merged AND span_minutes = {length} "
            "GROUP BY span.since ORDER BY span.since",
        )
        assert merged == minutes
        assert len(merged) > 1


def test_merged_spans_answer_what_the_minutes_answered(tmp_path: Path) -> None:
    """Sealed, merged, with rows that came late for merged spans, and with rows that are not sealed yet."""
    early, late, later = traffic(1, 2500), traffic(2, 300), traffic(3, 200)
    store = filled(tmp_path / "merged", early)
    by_minutes = answers(store)
    assert spans(store) == {}
    store.tidy(AFTER)
    assert spans(store) == {10: 288, 60: 48, 360: 8, 1440: 2}
    assert answers(store) == by_minutes
    check_spans(store)
    add(store, tmp_path / "merged", "late-1", late, seal=True)
    check_spans(store)
    add(store, tmp_path / "merged", "hot-1", later, seal=False)
    with_late = answers(store)
    store.stop()

    plain = filled(tmp_path / "plain", early + late + later)
    assert answers(plain) == with_late != by_minutes
    exact = [Queries(plain).graph(GraphQuery(window, exact=True)) for window in WINDOWS]
    plain.stop()
    for told, true in zip(with_late, exact, strict=False):
        assert true["exact"] is True
        assert [(e["id"], e["requests"], e["codes"], e["avg_ms"]) for e in told["edges"]] == [
            (e["id"], e["requests"], e["codes"], e["avg_ms"]) for e in true["edges"]
        ]


def test_spans_are_merged_once_they_are_settled(tmp_path: Path) -> None:
    """Five minutes after their end, the short ones first."""
    rows = [observation(60 * minute) for minute in range(0, 120, 7)]
    store = filled(tmp_path, rows)
    for minutes, expected in (
        (14, {}),
        (15, {10: 1}),
        (65, {10: 6, 60: 1}),
        (24 * 60, {10: 12, 60: 2, 360: 1, 1440: 1}),
    ):
        store.tidy(NOON + minutes * MINUTE)
        assert spans(store) == expected
    store.stop()


def test_sql_takes_merged_spans_too(tmp_path: Path) -> None:
    """Anyone's `edges(from, to)` over two days says what the graph says."""
    store = filled(tmp_path, traffic(1, 900))
    store.tidy(AFTER)
    add(store, tmp_path, "more-1", [observation(5)], seal=True)
    window = WINDOWS[1]
    graph = Queries(store).graph(GraphQuery(window))
    told = store.sql(
        f"select id, requests, errors, p95_ms from edges('{window.from_time}', '{window.to_time}') order by id",
        "csv",
    )
    store.stop()
    found = [line.split(",") for line in told.decode().split()[1:]]
    edges = sorted(graph["edges"], key=lambda edge: edge["id"])
    assert [(ident, int(requests), int(errors)) for ident, requests, errors, _ in found] == [
        (edge["id"], edge["requests"], edge["errors"]) for edge in edges
    ]
    assert [float(p95_ms) if p95_ms else None for *_, p95_ms in found] == [edge["p95_ms"] for edge in edges]


def test_counts_that_are_too_old_leave_no_span_behind(tmp_path: Path) -> None:
    """Whole days go; a day of which rows are kept is merged anew."""
    store = filled(tmp_path, traffic(1, 400))
    store.tidy(AFTER)
    before = answers(store)
    store.stop()
    store = open_store(tmp_path, rows_kept_days=60, rollups_kept_days=1, retired_kept_s=0)
    store.tidy(AFTER + 24 * HOUR)
    assert answers(store) == before
    check_spans(store)
    store.stop()
    store = open_store(tmp_path, rows_kept_days=1, rollups_kept_days=1, retired_kept_s=0)
    end = AFTER + timedelta(days=10)
    store.tidy(end)
    store.stop()
    store = open_store(tmp_path, rows_kept_days=1, rollups_kept_days=1, retired_kept_s=0)
    store.tidy(end)
    left = [
        ask(store, f"SELECT count(*) FROM {name}")[0][0] for name in ("edges_1m", "edges_merged", "activity")
    ]
    store.stop()
    assert left == [0, 0, 0]


@pytest.mark.parametrize("seconds", [0, 59, 3540, 3599, 7170])
def test_a_caller_that_spoke_in_the_next_minute_did_so_over_the_hour_too(
    tmp_path: Path, seconds: int
) -> None:
    """What is decided by sets of an hour's minutes knows the minutes of its neighbours."""
    inbound = {
        "reporter": "destination", "emitter": "reviews-2.default", "upstream_cluster": "inbound|9080||",
        "source_address": "127.42.0.30:40000", "downstream_local_address": "127.42.0.6:9080",
    }  # fmt: skip
    rows = [
        observation(seconds, source_address="127.42.0.30:40000", emitter="caller0-1.default"),
        observation(seconds + 45, **inbound),
        observation(seconds - 45, **inbound),
        observation(seconds + 299, **inbound),
        observation(seconds + 420, **inbound),
    ]
    store = filled(tmp_path, rows)
    start = NOON + seconds * SECOND
    graph = Queries(store).graph(GraphQuery(Window(start - 10 * MINUTE, start + 10 * MINUTE)))
    store.stop()
    edges = {edge["reporter"]: (edge["requests"], edge["server"]["requests"]) for edge in graph["edges"]}
    assert edges == {"mixed": (2, 4)}
