"""Facts added up by columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from store import tally
from store.tally import Tally, codes_of, sums_by, tallies

FACT = {
    "requests": 3, "outcome": "ok", "protocol": "http", "leg": "out", "signal": "als", "status_code": 200,
    "grpc_status": None, "response_flags": None, "timed": 3, "duration_us": 600, "attempts": None, "attempts_known": 0,
    "request_bytes": None, "response_bytes": None,
}  # fmt: skip


def _counts(*facts: dict[str, object]) -> pa.Table:
    texts = ("outcome", "protocol", "leg", "signal", "response_flags")
    schema = pa.schema([(name, pa.string() if name in texts else pa.int64()) for name in FACT])
    return pa.Table.from_pylist([FACT | fact for fact in facts], schema)


def test_what_no_fact_knows_is_not_zero() -> None:
    """Bytes and attempts are None where no fact tells them, sums where one does."""
    told = _counts({}, {"request_bytes": 7}, {"request_bytes": None, "attempts": 4, "attempts_known": 3})
    silent, sized, tried = tallies(told, np.array([0, 1, 2]), 3)
    assert (silent.request_bytes, silent.attempts) == (None, None)
    assert (sized.request_bytes, tried.attempts, tried.request_bytes) == (7, 4, None)
    assert tallies(told, np.array([1, 1, 1]), 2)[0] == Tally()


def test_sums_grow_beyond_64_bits() -> None:
    """What SQL cut at 2^63 adds up all the same, upwards and downwards."""
    most, least = 2**63 - 1, -(2**63)
    for value in (most, least):
        (summed,) = tallies(_counts({"request_bytes": value}, {"request_bytes": value}), np.zeros(2, int), 1)
        assert summed.request_bytes == 2 * value


def test_flags_of_one_answer_count_each() -> None:
    told = _counts(
        {"response_flags": "UF,URX"}, {"response_flags": "URX", "requests": 2}, {"response_flags": "-"}
    )
    assert tallies(told, np.zeros(3, int), 1)[0].flags == {"UF": 3, "URX": 5}


def test_sessions_have_no_latency() -> None:
    """An upgrade (101) counts, its duration does not."""
    (summed,) = tallies(_counts({"status_code": 101}, {}), np.zeros(2, int), 1)
    assert (summed.requests, summed.timed, summed.duration_us, summed.avg_ms) == (
        6,
        {"out": 3},
        {"out": 600},
        0.2,
    )


def test_many_rows_and_values_add_up_as_few_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether all pairs are looked at or those that are get sorted."""
    draw = np.random.default_rng(3)
    row, value = draw.integers(0, 50, 1000), pa.chunked_array([draw.integers(0, 9, 1000)])
    values = draw.integers(0, 100, 1000)
    dense = sorted(sums_by(row, codes_of(value), values))
    monkeypatch.setattr(tally, "_DENSE", 0)
    assert sorted(sums_by(row, codes_of(value), values)) == dense
    assert sum(total for _, _, total in dense) == values.sum()
