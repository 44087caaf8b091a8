"""Finding a trace among many segments: which files are asked at all."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from store.engine import Store
from store.queries import Queries
from store.trace_filters import _has, _probes, make
from tests.store.journals import NOON, ask, batch, open_store, write_journal

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

TRACES = [uuid.UUID(int=0xABC0 + number) for number in range(4)]


def span(trace: uuid.UUID, number: int) -> dict[str, object]:
    return {
        "time": NOON + timedelta(seconds=number),
        "time_ns": 1_795_262_400_000_000_000 + number,
        "duration_ns": 1000,
        "trace_id": trace,
        "span_id": number + 1,
        "name": "GET",
        "kind": "server",
    }


def sealed(folder: Path) -> Store:
    """Three segments: the first has traces 0 and 1, the second 1, the third 2."""
    for number, traces in enumerate(((0, 1), (1,), (2,))):
        spans = [span(TRACES[trace], 10 * number + trace) for trace in traces]
        write_journal(folder / "journal", f"c-{number}", [batch(str(number), spans=spans)])
    store = open_store(folder)
    store.poll_once()
    return store


def test_only_segments_that_may_hold_the_trace_are_read(tmp_path: Path) -> None:
    """Found wherever it is, before and after the filters are made, and after a restart."""
    store = sealed(tmp_path)
    for step in ("without filters", "with filters", "restarted"):
        if step == "with filters":
            store.tidy(NOON)
        if step == "restarted":
            store.stop()
            store = open_store(tmp_path)
        queries = Queries(store)
        found = [len((queries.trace(trace.hex) or {"spans": []})["spans"]) for trace in TRACES]
        assert found == [1, 2, 1, 0], step
        segments = store.segments
        asked = [len(store.upkeep.trace_filters.choose(segments, trace)) for trace in TRACES]
        assert asked == ([3, 3, 3, 3] if step == "without filters" else [1, 2, 1, 0]), step
    store.stop()


def test_merged_segments_have_filters_of_their_own(tmp_path: Path) -> None:
    """Those of the files they replace are forgotten."""
    store = sealed(tmp_path)
    store.tidy(NOON)
    store.tidy(NOON + timedelta(hours=2))
    assert ask(store, "SELECT count(*) FROM catalogue.trace_filters") == [(1,)]
    assert [len(store.upkeep.trace_filters.choose(store.segments, one)) for one in TRACES] == [1, 1, 1, 0]
    store.stop()


def test_a_filter_knows_every_id_and_few_others() -> None:
    """Random ids, and ids that count up: all are found, and of 20,000 strangers fewer than one in a hundred."""
    for ids in (
        [os.urandom(16) for _ in range(5000)],
        [number.to_bytes(16, "big") for number in range(5000)],
        [number.to_bytes(16, "little") for number in range(5000)],
    ):
        made = make(pa.chunked_array([pa.array(ids, pa.binary(16))]))
        bits = memoryview(made)
        held = [has(bits, one) for one in ids]
        assert all(held)
        strangers = [(number + 5000).to_bytes(16, "big") for number in range(10_000)]
        strangers += [os.urandom(16) for _ in range(10_000)]
        assert sum(has(bits, one) for one in strangers) < 200


def has(bits: memoryview, id: bytes) -> bool:
    return _has(np.frombuffer(bits, np.uint8), _probes(np.frombuffer(id, np.uint64).reshape(1, 2)))


def test_an_empty_segment_holds_nothing() -> None:
    """Spans without a trace id make no filter that says yes."""
    made = make(pa.chunked_array([pa.array([], pa.binary(16))]))
    assert not _has(np.frombuffer(made, np.uint8), _probes(np.frombuffer(b"x" * 16, np.uint64).reshape(1, 2)))
