"""Opening exports level by level: bodies → groups → scopes → records, each one Arrow call for all of them.

What must stay true: nothing is expanded before it is counted and bounded; every record knows its
scope, group and export; an export whose bytes do not parse is found by halving and named, and the
others are decoded as if it had not been sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import DecodeError

from collector.decode import limits
from collector.decode.descriptors import fields_of, handler, message_class
from collector.decode.text import offsets_of
from collector.decode.types import Decoded, Export, Refusal
from collector.decode.wire import SearchTooLong, first_error

MAX_CALL_BYTES = 2**31 - 1
_RUST_PANIC = "pyo3_runtime"  # the module of PanicException, which can be imported from nowhere


class BrokenExports(Exception):
    """Some exports must be refused; the others must be decoded again without them.

    ``wire``: their bytes are no such message (and the place is worth looking for).
    """

    def __init__(self, reasons: dict[int, str], wire: bool = True) -> None:
        super().__init__(f"{len(reasons)} exports cannot be decoded")
        self.reasons = reasons
        self.wire = wire


@dataclass(frozen=True)
class Level:
    """Children of all parents laid flat: ``raw`` bytes and the number of the parent of each."""

    raw: pa.BinaryArray
    parent: np.ndarray
    offsets: np.ndarray  # first child of each parent, for telling a child's place

    def place(self, child: int) -> int:
        """The index of a child within its parent."""
        return child - int(self.offsets[self.parent[child]])


def children(lists: pa.ListArray) -> Level:
    offsets = offsets_of(lists)
    counts = np.diff(offsets)
    return Level(
        lists.flatten(), np.repeat(np.arange(len(lists), dtype=np.int32), counts), offsets - offsets[0]
    )


def parse(message: str, raw: pa.BinaryArray, export_of: np.ndarray) -> pa.RecordBatch:
    """All of ``raw`` as one batch of ``message``. Raises BrokenExports naming those that do not parse."""
    _refuse_deep(message, raw, export_of)
    try:
        return _read(message, raw)
    except ValueError:
        reasons: dict[int, str] = {}
        _find_broken(message, raw, export_of, reasons)
        raise BrokenExports(reasons) from None


def parse_distinct(
    message: str, raw: pa.BinaryArray, export_of: np.ndarray
) -> tuple[pa.RecordBatch, np.ndarray]:
    """Each distinct one of ``raw`` as a row, and which row each is (-1: null). Raises BrokenExports.

    For what most records say alike: addresses, labels, certificates. To find the equal ones costs a tenth of
    opening them.
    """
    encoded = raw.dictionary_encode()
    try:
        rows = parse(message, encoded.dictionary, np.zeros(len(encoded.dictionary), np.int32))
    except BrokenExports:
        parse(message, raw, export_of)  # names every export that has them
        raise
    return rows, pc.fill_null(encoded.indices, -1).to_numpy()


def broken_inside(message: str, rows: pa.StructArray, export_of: np.ndarray) -> dict[int, str]:
    """Every export with a row whose raw fields do not parse, and why.

    One look for all of them: what is broken in one field now and in another later would cost a decoding each.
    """
    reasons: dict[int, str] = {}
    for field in fields_of(message).values():
        if field.message is None:
            continue
        column, exports = rows.field(field.name), export_of
        if field.repeated:
            column, exports = column.flatten(), np.repeat(exports, np.diff(offsets_of(column)))
        if not field.raw:
            reasons |= broken_inside(field.message, column, exports)
            continue
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        try:
            parse(field.message, column.filter(pa.array(valid)), exports[valid])
        except BrokenExports as broken:
            reasons |= broken.reasons
    return reasons


def _refuse_deep(message: str, raw: pa.BinaryArray, export_of: np.ndarray) -> None:
    """Raise BrokenExports for what nests groups so deep that ptars would overflow its stack and end the process.

    A level takes a byte at least, so only what is long can: few values, and not records but what holds them.
    """
    broken: dict[int, str] = {}
    for index in np.flatnonzero(np.diff(offsets_of(raw)) > limits.UNNESTED_BYTES).tolist():
        try:
            message_class(message).FromString(raw[index].as_py())
        except DecodeError as error:
            broken[int(export_of[index])] = str(error)
    if broken:
        raise BrokenExports(broken)


def _read(message: str, raw: pa.BinaryArray) -> pa.RecordBatch:
    """Raises ValueError where some of ``raw`` is no ``message``.

    ptars panics over a length so close to 2**64 that the end comes before the start; it keeps no state.
    """
    try:
        return handler(message).array_to_record_batch(raw)
    except ValueError:
        raise
    except BaseException as error:
        if type(error).__module__ != _RUST_PANIC:
            raise
        raise ValueError("a length ends before it starts") from None


def _find_broken(message: str, raw: pa.BinaryArray, export_of: np.ndarray, found: dict[int, str]) -> None:
    if len(raw) == 0 or (export_of[0] == export_of[-1] and int(export_of[0]) in found):
        return
    try:
        _read(message, raw)
    except ValueError as error:
        if len(raw) == 1:
            found[int(export_of[0])] = str(error)
            return
        half = len(raw) // 2
        _find_broken(message, raw.slice(0, half), export_of[:half], found)
        _find_broken(message, raw.slice(half), export_of[half:], found)


def chunks(raw: pa.BinaryArray, limit: int = limits.CHUNK_BYTES) -> Iterator[tuple[int, int]]:
    """Split records into runs (start, end) of at most ``limit`` bytes; a single record may fill one."""
    ends = offsets_of(raw)
    start = 0
    while start < len(raw):
        end = int(np.searchsorted(ends, ends[start] + limit, side="right")) - 1
        end = min(max(end, start + 1), start + limits.CHUNK_ROWS, len(raw))
        yield start, end
        start = end


def refuse_over_limit(lists: pa.ListArray, export_of: np.ndarray, limit: int, what: str) -> None:
    """Raise BrokenExports for the exports with more than ``limit`` children in these lists."""
    counts = np.diff(offsets_of(lists))
    if counts.sum() <= limit:
        return
    totals = np.bincount(export_of, counts, minlength=1)
    over = {
        export: f"{int(totals[export])} {what} in one export, at most {limit} are read"
        for export in np.flatnonzero(totals > limit).tolist()
    }
    if over:
        raise BrokenExports(over, wire=False)


def over_limit(export_of: np.ndarray, limit: int) -> np.ndarray:
    """Mark what lies past the first ``limit`` children of its export (``export_of`` is sorted)."""
    if len(export_of) <= limit:
        return np.zeros(len(export_of), bool)
    first = np.searchsorted(export_of, export_of, side="left")
    return np.arange(len(export_of)) - first >= limit


def decode_without_broken(
    exports: Sequence[Export],
    message: str,
    record: str,
    decode: Callable[[pa.BinaryArray, np.ndarray], Decoded],
) -> Decoded:
    """Run ``decode(bodies, export numbers)``, leaving out and refusing the exports it finds broken.

    ``message`` is the type of a body and ``record`` that of its records. Arrow's offsets have 32
    bits: the bodies of one call must stay below 2 GiB together (the intake's bound is far below).
    """
    alive = list(range(len(exports)))
    refused: dict[int, Refusal] = {}
    while True:
        bodies = _as_array([exports[index].body for index in alive])
        try:
            decoded = decode(bodies, np.array(alive, np.int32))
        except BrokenExports as broken:
            for index, reason in broken.reasons.items():
                body = exports[index].body
                refused[index] = (
                    _refusal(body, message, record, reason) if broken.wire else Refusal(reason, None)
                )
            alive = [index for index in alive if index not in refused]
        else:
            decoded.refused = refused
            return decoded


def _as_array(bodies: list[bytes]) -> pa.BinaryArray:
    """Like pa.array, in one copy. Raises ValueError past 2 GiB: the caller's fault, not the data's."""
    if sum(map(len, bodies)) > MAX_CALL_BYTES:
        raise ValueError(f"more than {MAX_CALL_BYTES} bytes in one decode call")
    offsets = np.zeros(len(bodies) + 1, np.int32)
    np.cumsum([len(body) for body in bodies], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(bodies))]
    return pa.BinaryArray.from_buffers(pa.binary(), len(bodies), buffers)


def _refusal(body: bytes, message: str, record: str, reason: str) -> Refusal:
    found = first_error(body, message, record)
    if isinstance(found, SearchTooLong):
        return Refusal(f"the body is no such protobuf message after byte {found.offset}: {reason}", None)
    if found is None:
        return Refusal(f"the body is no such protobuf message: {reason}", None)
    return Refusal(f"the body breaks at byte {found.offset} of {len(body)}: {found}", found.offset)
