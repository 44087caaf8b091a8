"""Which rows are alike: so that what many rows share is worked out once for all of them.

What must stay true: whole columns, no Python statement per row; numbers are given in the order in which the
rows first show what they stand for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def numbered(codes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows that agree in all of ``codes`` (integers from -1) get one number; returns the numbers of the rows and,
    for each number, the first row that has it."""
    rows = len(codes[0])
    which = np.zeros(rows, np.int64)
    for one in codes:
        if rows and (one != one[0]).any():
            which = which * (int(one.max()) + 2) + (one + 1)
            which = pa.array(which).dictionary_encode().indices.to_numpy().astype(np.int64)
    first = np.zeros(int(which.max(initial=-1)) + 1, np.int64)
    first[which[::-1]] = np.arange(rows)[::-1]
    return which, first


def codes_of(values: pa.Array) -> np.ndarray:
    """A number for each value, the same for the same; -1 for null."""
    return pc.fill_null(values.dictionary_encode().indices, -1).to_numpy()
