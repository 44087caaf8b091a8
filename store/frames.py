"""The journal's file format: bytes ⇄ batches. Pure: no file is opened here.

A journal file is ``HEADER frame*``; a frame is one fsynced group of exports. What must stay true:
a frame is either whole (length and CRC agree) or not there; what is cut off at the end was never
acknowledged, whole frames behind broken bytes were. Rows refer to their export by index, exports
carry the digest of their wire bytes, so that a reader can drop an export it has already seen.

    header := magic "SLJ1" | u32 length | JSON {schema_version, writer, created_us}
    frame  := magic "SLF1" | u32 crc32(payload) | u64 length | payload
    payload:= u32 length | JSON {exports, tables} | Arrow record batch messages (no schema)
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from store.schema import SCHEMA_VERSION, TABLES

HEADER_MAGIC = b"SLJ1"
FRAME_MAGIC = b"SLF1"
FINISH_MARKER = "finish"
"""Beside the journal files. Its owner touches it to have the open ones finished; writers compare it with itself."""
_FRAME = struct.Struct("<4sIQ")
_LENGTH = struct.Struct("<I")
_WRITE_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class BrokenFrame(ValueError):
    """The bytes at ``offset`` are no whole frame."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"broken journal frame at byte {offset}: {reason}")
        self.offset = offset


@dataclass(frozen=True)
class ExportMark:
    """One acknowledged request body: its digest (16 bytes of BLAKE2b, hex), when and from where."""

    digest: str
    received_us: int
    source: str  # 'otlp_traces' | 'otlp_logs' | 'otlp_metrics' | 'als' | 'import' | ...


@dataclass(frozen=True)
class Batch:
    """Tables of the store's schema plus the exports their ``export`` column points at."""

    exports: list[ExportMark]
    tables: dict[str, pa.RecordBatch | pa.Table] = field(default_factory=dict)


def encode_header(writer: str, created_us: int) -> bytes:
    body = json.dumps({"schema_version": SCHEMA_VERSION, "writer": writer, "created_us": created_us})
    raw = body.encode()
    return HEADER_MAGIC + _LENGTH.pack(len(raw)) + raw


def decode_header(data: bytes | memoryview) -> tuple[dict[str, object], int]:
    """Return (header, bytes read). Raises BrokenFrame."""
    view = memoryview(data)
    if len(view) < 8 or bytes(view[:4]) != HEADER_MAGIC:
        raise BrokenFrame(0, "no journal header")
    (length,) = _LENGTH.unpack(view[4:8])
    if len(view) < 8 + length:
        raise BrokenFrame(0, "header cut short")
    try:
        header = json.loads(bytes(view[8 : 8 + length]))
    except ValueError as error:
        raise BrokenFrame(0, "header is no JSON") from error
    if not isinstance(header, dict):
        raise BrokenFrame(0, "header is no JSON object")
    return header, 8 + length


def encode_frame(batch: Batch) -> list[bytes | pa.Buffer]:
    """The frame as a list of buffers (for writev); empty tables are left out."""
    messages: list[pa.Buffer] = []
    listed: list[dict[str, object]] = []
    for name, table in batch.tables.items():
        if table.num_rows == 0:
            continue
        for rows in _record_batches(table):
            message = _serialize(rows)
            messages.append(message)
            listed.append({"table": name, "bytes": message.size, "rows": rows.num_rows})
    exports = [[mark.digest, mark.received_us, mark.source] for mark in batch.exports]
    meta = json.dumps({"exports": exports, "tables": listed}).encode()
    parts: list[bytes | pa.Buffer] = [_LENGTH.pack(len(meta)), meta, *messages]
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    size = sum(len(part) if isinstance(part, bytes) else part.size for part in parts)
    return [_FRAME.pack(FRAME_MAGIC, crc, size), *parts]


def decode_frames(
    data: bytes | memoryview, offset: int = 0, schemas: Mapping[str, pa.Schema] = TABLES
) -> Iterator[tuple[Batch, int]]:
    """Yield (batch, offset after it) for every whole frame from ``offset``; stop at an incomplete one.

    ``schemas`` may name the same columns with types of the same physical layout (a map is a list of
    key/value structs). Raises BrokenFrame where a frame is all there but its magic or checksum is wrong.
    """
    view = memoryview(data)
    while len(view) - offset >= _FRAME.size:
        magic, crc, size = _FRAME.unpack(view[offset : offset + _FRAME.size])
        if magic != FRAME_MAGIC:
            raise BrokenFrame(offset, "no frame magic")
        if not size:  # whose checksum, 0, is right: zeros behind a magic, as a torn write leaves them
            raise BrokenFrame(offset, "a frame of nothing")
        start, end = offset + _FRAME.size, offset + _FRAME.size + size
        if end > len(view):
            return
        if zlib.crc32(view[start:end]) != crc:
            raise BrokenFrame(offset, "checksum differs")
        try:
            batch = _decode_payload(view[start:end], schemas)
        except (ValueError, LookupError, TypeError, struct.error, pa.ArrowException) as error:
            raise BrokenFrame(offset, f"it cannot be decoded: {error}") from error
        yield batch, end
        offset = end


def find_frame(data: bytes, offset: int) -> int | None:
    """Where behind the broken frame at ``offset`` the next whole one begins; None where there is none.

    Its length is believed first: then nothing within it, which are strangers' bytes, is taken for a frame.
    """
    if (end := claimed_end(data, offset)) is not None and _is_whole(data, end):
        return end
    at = data.find(FRAME_MAGIC, offset + 1)
    while at >= 0 and not _is_whole(data, at):
        at = data.find(FRAME_MAGIC, at + 1)
    return at if at >= 0 else None


def claimed_end(data: bytes, offset: int) -> int | None:
    """Where the frame at ``offset`` ends as its header says; None: there is no header, or it is cut short."""
    if len(data) - offset < _FRAME.size:
        return None
    magic, _, size = _FRAME.unpack_from(data, offset)
    end = offset + _FRAME.size + int(size)
    return end if magic == FRAME_MAGIC and size and end <= len(data) else None


def is_torn(data: bytes) -> bool:
    """Is it what a write leaves that was cut off: the beginning of a frame, or zeros where its rest should be?"""
    begins = FRAME_MAGIC.startswith(data[: len(FRAME_MAGIC)])
    return (begins and claimed_end(data, 0) is None) or not data[-512:].strip(b"\0")


def _is_whole(data: bytes, offset: int) -> bool:
    end = claimed_end(data, offset)
    if end is None:
        return False
    (_, crc, _) = _FRAME.unpack_from(data, offset)
    return zlib.crc32(memoryview(data)[offset + _FRAME.size : end]) == crc


def _decode_payload(payload: memoryview, schemas: Mapping[str, pa.Schema]) -> Batch:
    (length,) = _LENGTH.unpack(payload[:4])
    meta = json.loads(bytes(payload[4 : 4 + length]))
    position = 4 + length
    pieces: dict[str, list[pa.RecordBatch]] = {}
    for entry in meta["tables"]:
        message = pa.py_buffer(payload[position : position + entry["bytes"]])
        schema = schemas[entry["table"]]
        pieces.setdefault(entry["table"], []).append(pa.ipc.read_record_batch(message, schema))
        position += entry["bytes"]
    tables: dict[str, pa.RecordBatch | pa.Table] = {
        name: pa.Table.from_batches(rows, schemas[name]) for name, rows in pieces.items()
    }
    return Batch([ExportMark(*mark) for mark in meta["exports"]], tables)


def _record_batches(table: pa.RecordBatch | pa.Table) -> list[pa.RecordBatch]:
    if isinstance(table, pa.RecordBatch):
        return [table]
    return table.combine_chunks().to_batches()


def _serialize(rows: pa.RecordBatch) -> pa.Buffer:
    """The bare record batch message, compressed (RecordBatch.serialize has no such option)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_WRITE_OPTIONS) as writer:
        writer.write_batch(rows)
        batch_end = sink.tell()
    schema_end = rows.schema.serialize().size
    return sink.getvalue().slice(schema_end, batch_end - schema_end)
