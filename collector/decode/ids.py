"""Trace ids, span ids and nanosecond times: from wire columns to the store's types, vectorised.

What must stay true: an id is valid only with its full length and not all zero (W3C, OTLP); what the
masks call good converts without a further check.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.text import offsets_of
from store.schema import MOMENT, TRACE_ID

_MAX_NS = np.uint64(1 << 63)
_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[list(b"0123456789abcdef")] = np.arange(16)
_NIBBLES[list(b"ABCDEF")] = np.arange(10, 16)
_LOWER_NIBBLES = _NIBBLES.copy()
_LOWER_NIBBLES[list(b"ABCDEF")] = 255
_TRACEPARENT = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
_DASHES = [2, 35, 52]
_DIGITS = [place for place in range(_TRACEPARENT) if place not in _DASHES]


# (field, mask of the bad rows, row → (reason, sample)): what `otlp.reject_marked` reports.
Fault = tuple[str, np.ndarray, Callable[[int], tuple[str, str]]]


def wrong_id(value: bytes, width: int, optional: bool = False) -> tuple[str, str]:
    """What is wrong with an id, and the id in hex."""
    found = f"{len(value)} bytes" if len(value) != width else f"{width} zero bytes"
    expected = f"{'0 or ' if optional else ''}{width} bytes{'' if optional else ', not all zero'}"
    return f"has {found}, expected {expected}", value[:64].hex()


def wrong_time(nanos: int) -> tuple[str, str]:
    """What is wrong with a time in nanoseconds, and the time."""
    expected = "nanoseconds since 1970, before the year 2262"
    return ("is missing, expected " if nanos == 0 else f"is {nanos}, expected ") + expected, str(nanos)


def id_fault(rows: pa.RecordBatch, field: str, width: int, optional: bool = False) -> Fault:
    """Rows whose id is not ``width`` bytes and not zero (``optional``: or absent)."""
    values = rows.column(field)
    bad = ~np.isin(lengths(values), (0, width)) if optional else ~_not_zero(matrix(values, width))
    return field, bad, lambda row: wrong_id(values[row].as_py(), width, optional)


def time_fault(rows: pa.RecordBatch, field: str, required: bool) -> Fault:
    """Rows whose time is out of range (``required``: or absent)."""
    nanos = rows.column(field).to_numpy()
    bad = nanos >= _MAX_NS
    return field, (bad | (nanos == 0)) if required else bad, lambda row: wrong_time(int(nanos[row]))


def lengths(values: pa.BinaryArray) -> np.ndarray:
    return np.diff(offsets_of(values))


def matrix(values: pa.BinaryArray, width: int) -> np.ndarray:
    """(rows, width) bytes of values that are all ``width`` long; rows of others are zero."""
    offsets = offsets_of(values)
    data = np.frombuffer(values.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    whole = np.diff(offsets) == width
    if whole.all():
        return data.reshape(-1, width)
    rows = np.zeros((len(values), width), np.uint8)
    starts = (offsets[:-1] - offsets[0])[whole].astype(np.int64)
    rows[whole] = data[starts[:, None] + np.arange(width)]
    return rows


def trace_ids(rows: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """(n, 16) bytes → (uuid column with null for zero, mask of the valid ones)."""
    return pa.ExtensionArray.from_storage(TRACE_ID, _storage(rows)), _not_zero(rows)


def trace_id_storage(values: pa.BinaryArray) -> pa.Array:
    """As fixed-size binary; null where a value is no trace id."""
    return _storage(matrix(values, 16))


def span_ids(rows: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """(n, 8) bytes → (uint64 column, big-endian, null for zero; mask of the valid ones)."""
    numbers = np.ascontiguousarray(rows).view(">u8").reshape(-1).astype(np.uint64)
    good = numbers != 0
    return pa.array(numbers, mask=None if good.all() else ~good), good


def from_hex(text: pa.StringArray, width: int) -> np.ndarray:
    """(rows, width) bytes of hex text of 2·width digits; zero where a value is anything else."""
    digits = matrix(pc.fill_null(text, "").cast(pa.binary()), 2 * width)
    nibbles = _NIBBLES[digits]
    rows = (nibbles[:, 0::2] << 4) | (nibbles[:, 1::2] & 15)
    rows[(nibbles == 255).any(axis=1)] = 0
    return rows


def from_traceparent(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, 16) bytes of trace id, (rows, 8) of span id, and which rows are a traceparent (W3C).

    What a later version adds behind it does not matter.
    """
    known = pc.fill_null(text, "")
    if (pc.max(pc.binary_length(known)).as_py() or 0) > _TRACEPARENT:
        known = pc.utf8_slice_codeunits(known, 0, _TRACEPARENT)
    digits = matrix(known.cast(pa.binary()), _TRACEPARENT)
    nibbles = _LOWER_NIBBLES[digits]
    whole = (nibbles[:, _DIGITS] < 16).all(axis=1) & (digits[:, _DASHES] == ord("-")).all(axis=1)
    trace = (nibbles[:, 3:35:2] << 4) | (nibbles[:, 4:35:2] & 15)
    span = (nibbles[:, 36:52:2] << 4) | (nibbles[:, 37:52:2] & 15)
    return trace, span, whole


def moments(nanos: np.ndarray) -> pa.Array:
    """Nanoseconds since the epoch (int64) as microsecond timestamps; null where 0."""
    micros = nanos // 1000
    return pa.array(micros, mask=nanos == 0).cast(MOMENT)


def nanos_in_range(nanos: np.ndarray) -> np.ndarray:
    """Which uint64 nanosecond times fit the store (before the year 2262)."""
    return nanos < _MAX_NS


def _not_zero(rows: np.ndarray) -> np.ndarray:
    words = np.ascontiguousarray(rows).view(np.uint64).reshape(len(rows), rows.shape[1] // 8)
    return np.any(words, axis=1)


def _storage(rows: np.ndarray) -> pa.Array:
    good = _not_zero(rows)
    mask = None if good.all() else pa.py_buffer(np.packbits(good, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(rows.shape[1]), len(rows), [mask, data])
