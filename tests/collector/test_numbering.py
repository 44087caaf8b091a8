"""Rows that are alike: one number for those that agree in everything, in the order they first appear."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from collector.decode.numbering import codes_of, numbered


def test_rows_that_agree_in_all_codes_share_a_number() -> None:
    which, first = numbered([np.array([7, 7, -1, 7, 7]), np.array([1, 2, 1, 1, 2])])
    assert which.tolist() == [0, 1, 2, 0, 1]
    assert first.tolist() == [0, 1, 2]


def test_rows_are_told_apart_by_any_of_many_wide_codes() -> None:
    """Codes of a million values each: their product is past what 64 bits hold."""
    wide = np.arange(1000) * 1000
    which, first = numbered([wide] * 9 + [np.arange(1000) % 2])
    assert which.tolist() == first.tolist() == list(range(1000))


def test_no_rows_have_no_numbers() -> None:
    which, first = numbered([np.zeros(0, np.int64), np.zeros(0, np.int32)])
    assert (len(which), len(first)) == (0, 0)


def test_null_is_no_value() -> None:
    assert codes_of(pa.array(["a", None, "b", "a"])).tolist() == [0, -1, 1, 0]
