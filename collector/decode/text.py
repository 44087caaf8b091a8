"""Bytes columns → text columns: valid UTF-8, bounded, without a Python statement per good value.

What must stay true: the result is always valid UTF-8 and never longer than the limit; a value that
was neither too long nor invalid is byte for byte what was sent.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import limits


def to_text(values: pa.Array, limit: int = limits.TEXT_BYTES) -> pa.StringArray:
    """A binary array as strings; invalid bytes become U+FFFD, longer values are cut at a character."""
    if len(values) == 0:
        return pa.array([], pa.string())
    offsets = offsets_of(values)
    too_long = np.diff(offsets) > limit
    if not too_long.any():
        try:
            return values.cast(pa.string())
        except pa.ArrowInvalid:
            pass
    data = np.frombuffer(values.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    odd = np.flatnonzero(data & 0x80) + offsets[0]
    suspects = too_long
    suspects[np.searchsorted(offsets, odd, side="right") - 1] = True
    if values.null_count:
        suspects &= values.is_valid().to_numpy(zero_copy_only=False)
    repaired = [clean(value, limit) for value in values.filter(pa.array(suspects)).to_pylist()]
    fixed = pc.replace_with_mask(values, pa.array(suspects), pa.array(repaired, pa.binary()))
    return fixed.cast(pa.string())


def clean(value: bytes, limit: int) -> bytes:
    """One value as valid UTF-8 of at most ``limit`` bytes."""
    text = value[: limit + 4].decode("utf-8", "replace").encode()
    if len(text) <= limit:
        return text
    end = limit
    while end and text[end] & 0xC0 == 0x80:
        end -= 1
    return text[:end]


def offsets_of(values: pa.Array) -> np.ndarray:
    """The int32 offsets of a string, binary, list or map array (its slice respected)."""
    if len(values) == 0:
        return np.zeros(1, np.int32)
    return np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]


def take(values: pa.Array, positions: np.ndarray) -> pa.Array:
    """``values`` at ``positions``; null where a position is negative."""
    missing = positions < 0
    if missing.any():
        return values.take(pa.array(positions, mask=missing))
    return values.take(pa.array(positions))


def spread(values: pa.StringArray, positions: np.ndarray) -> pa.StringArray:
    """`take` for values that many records share (their service's or metric's name), bounded.

    A value of 16 KB said once above 16,000 records of 2 bytes would become 256 MB. Where the whole would
    pass the limit, the values longer than their share of it are cut.
    """
    if values.null_count == len(values):
        return pa.nulls(len(positions), values.type)
    share = share_of(np.diff(offsets_of(values)), positions)
    if share is not None:
        long = np.diff(offsets_of(values)) > share
        cut = [clean(value, share) for value in values.filter(pa.array(long)).cast(pa.binary()).to_pylist()]
        fixed = pc.replace_with_mask(values.cast(pa.binary()), pa.array(long), pa.array(cut, pa.binary()))
        values = fixed.cast(pa.string())
    return take(values, positions)


def share_of(sizes: np.ndarray, positions: np.ndarray) -> int | None:
    """How many bytes each of ``positions`` may take; None where all of them fit as they are."""
    total = int(np.append(sizes.astype(np.int64), 0)[positions].sum())
    return limits.SPREAD_BYTES // len(positions) if total > limits.SPREAD_BYTES else None


def null_if_empty(values: pa.StringArray) -> pa.StringArray:
    """An absent proto3 string is the empty string: null."""
    empty = pc.equal(values, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), values) if pc.any(empty).as_py() else values


def text_column(values: pa.Array, limit: int = limits.TEXT_BYTES) -> pa.StringArray:
    """A proto3 bytes field as text, null where it is empty."""
    return null_if_empty(to_text(values, limit))


def integers(text: pa.StringArray) -> tuple[pa.Int64Array, np.ndarray | None]:
    """Decimal text as int64; what is no number is null and marked in the mask (None: all were)."""
    try:
        return text.cast(pa.int64()), None
    except pa.ArrowInvalid:
        good = pc.match_substring_regex(text, r"^-?[0-9]{1,18}$")
        kept = pc.if_else(good, text, pa.scalar(None, pa.string())).cast(pa.int64())
        bad = pc.and_(pc.is_valid(text), pc.invert(good))
        return kept, pc.fill_null(bad, False).to_numpy(zero_copy_only=False)
