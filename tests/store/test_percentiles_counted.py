"""Percentiles made by counting are those DuckDB makes of the same rows, to the digit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from store import percentiles
from store.percentiles import Groups, of_buckets, of_rows

STEPS, CLASSES = 3, 4
# Class 0 counts in groups 0 and 3, class 1 in 1 and 3, class 2 in 2, 3 and 4; class 3 is all of group 5.
GROUPS = Groups(CLASSES, np.array([0, 1, 2, 0, 1, 2, 2, 3]), np.array([0, 1, 2, 3, 3, 3, 4, 5]))

_DRAW = np.random.default_rng(7)
DURATIONS = {
    "lognormal": _DRAW.lognormal(8, 1, 4000).astype(np.int64),
    "a few": np.array([0, 1, 1, 2, 3, 5_000_000]),
    "all alike": np.full(500, 12_345),
    "one": np.array([77]),
    "as long as a number can tell": _DRAW.integers(2**61, 2**62, 300),
    "around nothing": _DRAW.integers(-5, 5, 200),
}


@pytest.mark.parametrize("kept_rows", [10**6, 100], ids=["read once", "read twice"])
@pytest.mark.parametrize("counters", [10**6, 2000, 200], ids=["finely counted", "coarsely", "step by step"])
@pytest.mark.parametrize("told", DURATIONS)
def test_percentiles_of_rows_are_quantile_cont(
    told: str, counters: int, kept_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the durations, groups of several classes, steps without rows, and rows read in pieces or again."""
    monkeypatch.setattr(percentiles, "_KEPT_ROWS", kept_rows)
    monkeypatch.setattr(percentiles, "_COUNTERS", counters)
    duration_us = DURATIONS[told]
    cell = np.random.default_rng(3).integers(0, (STEPS - 1) * CLASSES, len(duration_us)).astype(np.int32)

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for piece in np.array_split(np.arange(len(cell)), 3):
            yield cell[piece], duration_us[piece]

    total, values = of_rows(read, GROUPS, STEPS)
    assert _of_groups(total, values) == _by_duckdb(cell, duration_us)


def test_percentiles_of_nothing_are_told_of_nobody() -> None:
    nothing = np.empty(0, np.int64)
    assert not of_rows(list, GROUPS, STEPS)[0].any()
    assert not of_buckets(nothing, nothing, nothing, GROUPS, STEPS)[0].any()


@pytest.mark.parametrize("counters", [10**6, 100], ids=["at once", "step by step"])
def test_percentiles_of_buckets_add_up_what_lies_in_each(
    counters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of as many rows in the middle of their buckets."""
    monkeypatch.setattr(percentiles, "_COUNTERS", counters)
    draw = np.random.default_rng(5)
    cell, bucket = draw.integers(0, STEPS * CLASSES, 300), draw.integers(200, 900, 300)
    rows = draw.integers(1, 9, 300)
    total, values = of_buckets(cell, bucket, rows, GROUPS, STEPS)
    middle = np.array([1.02 ** (number + 0.5) for number in bucket])
    assert _of_groups(total, values) == _by_duckdb(np.repeat(cell, rows), np.repeat(middle, rows))


def _of_groups(total: np.ndarray, values: np.ndarray) -> dict[tuple[int, int], list[float]]:
    return {divmod(row, GROUPS.count): values[row].tolist() for row in np.flatnonzero(total).tolist()}


def _by_duckdb(cell: np.ndarray, duration_us: np.ndarray) -> dict[tuple[int, int], list[float]]:
    rows = pa.table({"cell": cell, "duration_us": duration_us})
    pairs = pa.table({"of_class": GROUPS.of_class, "group_no": GROUPS.group})
    with contextlib.closing(duckdb.connect()) as database:
        database.register("rows", rows)
        database.register("pairs", pairs)
        told = database.execute(
            """
            select cell // $classes, group_no, quantile_cont(duration_us, [0.5, 0.9, 0.95, 0.99])::double[]
            from rows join pairs on of_class = cell % $classes group by all
            """,
            {"classes": CLASSES},
        ).fetchall()
    return {(step, number): values for step, number, values in told}
