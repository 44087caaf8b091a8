"""A small reader of the protobuf wire format in plain Python, used only where something is wrong or rare.

Two uses: saying at which byte a refused export stops making sense, and rendering the rare nested
attribute (array, map) as JSON text. What must stay true: it accepts and refuses what the fast
decoder does, and neither use ever raises for bad data except `BrokenWire`.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

from collector.decode import limits
from collector.decode.descriptors import fields_of

_VARINT, _FIXED64, _LENGTH, _GROUP, _END_GROUP, _FIXED32 = 0, 1, 2, 3, 4, 5
_MAX_DEPTH = 100
_NUMERIC = {"bool", "int32", "int64", "uint32", "uint64", "sint32", "sint64"}


class BrokenWire(ValueError):
    """The bytes stop being a protobuf message at ``offset`` (counted from the start of the body)."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset


class SearchTooLong(BrokenWire):
    """The search was given up at ``offset``; so far the bytes were well formed."""


class _Budget:
    """How many fields a search may look at: a hostile body must not hold the decoder for seconds."""

    def __init__(self, fields: int) -> None:
        self.left = fields

    def spend(self, offset: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise SearchTooLong(offset, "the search was given up")


def first_error(body: bytes, message: str, record: str = "") -> BrokenWire | None:
    """Where ``body`` stops being a ``message``, or None; ``record`` is the type behind a bare ``raw``."""
    try:
        _walk(body, 0, len(body), message, record, _Budget(limits.FIELDS_SEARCHED))
    except BrokenWire as broken:
        return broken
    return None


def _walk(data: bytes, start: int, end: int, message: str, record: str, budget: _Budget) -> None:
    fields = fields_of(message)
    for number, wire_type, value_start, value_end in _items(data, start, end):
        budget.spend(value_start)
        field = fields.get(number)
        if field is None or wire_type != _LENGTH:
            continue
        inner = field.message or _points_type(message, field.name, record)
        if inner:
            kind = _METRIC_POINTS.get(field.name, record) if message == "Metric" else record
            _walk(data, value_start, value_end, inner, kind, budget)
        elif field.repeated and field.scalar in _NUMERIC:
            position = value_start
            while position < value_end:
                _, position = read_varint(data, position, value_end)
        elif field.repeated and field.scalar in ("fixed64", "double") and (value_end - value_start) % 8:
            raise BrokenWire(value_start, f"packed {field.name} is no multiple of 8 bytes")


_METRIC_POINTS = {
    "gauge": "NumberPoint",
    "sum": "NumberPoint",
    "histogram": "HistogramPoint",
    "exponential_histogram": "ExponentialPoint",
    "summary": "SummaryPoint",
}


def _points_type(message: str, name: str, record: str) -> str | None:
    """What a bare ``raw`` holds: the records of a Scoped, the points of a metric."""
    return record or None if (message, name) in {("Scoped", "records"), ("Points", "points")} else None


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (field number, wire type, value start, value end) for one message's bytes."""
    position, open_groups = start, []
    while position < end:
        tag_at = position
        tag, position = read_varint(data, position, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0 or tag >= 1 << 32:
            raise BrokenWire(tag_at, f"invalid field number {number}")
        value_at = position
        if wire_type == _VARINT:
            _, position = read_varint(data, position, end)
        elif wire_type == _LENGTH:
            length, position = read_varint(data, position, end)
            if position + length > end:
                raise BrokenWire(
                    tag_at, f"field {number} says {length} bytes, {end - position} are left in its message"
                )
            value_at, position = position, position + length
        elif wire_type in (_FIXED32, _FIXED64):
            position += 4 if wire_type == _FIXED32 else 8
            if position > end:
                raise BrokenWire(tag_at, f"field {number} is cut short")
        elif wire_type == _GROUP:
            open_groups.append(number)
            if len(open_groups) > _MAX_DEPTH:
                raise BrokenWire(tag_at, "groups nested too deep")
        elif wire_type == _END_GROUP:
            if not open_groups or open_groups.pop() != number:
                raise BrokenWire(tag_at, "end of a group that was not begun")
        else:
            raise BrokenWire(tag_at, f"invalid wire type {wire_type}")
        if not open_groups and wire_type != _END_GROUP:
            yield number, wire_type, value_at, position
    if open_groups:
        raise BrokenWire(end, "a group is not ended")


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return (value, position after it). Raises BrokenWire."""
    value = shift = 0
    start = position
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                raise BrokenWire(start, "number longer than 64 bits")
            return value, position
        shift += 7
        if shift > 63:
            raise BrokenWire(start, "number longer than 64 bits")
    raise BrokenWire(start, "cut short inside a number")


def bytes_field(data: bytes, number: int) -> bytes | None:
    """The last length-delimited field ``number`` of a message; None if absent or unreadable."""
    found = None
    try:
        for field, wire_type, start, end in _items(data, 0, len(data)):
            if field == number and wire_type == _LENGTH:
                found = data[start:end]
    except BrokenWire:
        return found
    return found


def any_value_json(raw: bytes, message: str) -> str:
    """An ArrayValue or KeyValueList as JSON text, cut at the limits. Raises BrokenWire."""
    value = _collection(raw, message, limits.ANY_VALUE_DEPTH)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def struct_json(raw: bytes) -> str:
    """A google.protobuf.Struct as JSON text. Raises BrokenWire."""
    return json.dumps(struct_value(raw), ensure_ascii=False, separators=(",", ":"))


def struct_value(raw: bytes, depth: int = limits.ANY_VALUE_DEPTH) -> dict[str, Any]:
    """A google.protobuf.Struct as a dict. Raises BrokenWire."""
    if depth <= 0:
        return {"…": "nested too deep"}
    fields = {}
    for number, wire_type, start, end in _items(raw, 0, len(raw)):
        if number == 1 and wire_type == _LENGTH:
            key = decode_text(bytes_field(raw[start:end], 1) or b"")
            fields[key] = _struct_member(bytes_field(raw[start:end], 2) or b"", depth - 1)
    return fields


def _struct_member(raw: bytes, depth: int) -> Any:
    for number, wire_type, start, end in _items(raw, 0, len(raw)):
        if number == 2 and wire_type == _FIXED64:
            return struct.unpack("<d", raw[start:end])[0]
        if number == 3 and wire_type == _LENGTH:
            return decode_text(raw[start:end])
        if number == 4 and wire_type == _VARINT:
            return raw[start:end] != b"\x00"
        if number == 5 and wire_type == _LENGTH:
            return struct_value(raw[start:end], depth)
        if number == 6 and wire_type == _LENGTH:
            if depth <= 0:
                return "nested too deep"
            items = _items(raw[start:end], 0, end - start)
            return [_struct_member(raw[start + a : start + b], depth - 1) for n, w, a, b in items if n == 1]
    return None


def decode_text(raw: bytes) -> str:
    """UTF-8 with U+FFFD for what is not."""
    return raw.decode("utf-8", "replace")


def _collection(raw: bytes, message: str, depth: int) -> Any:
    if depth <= 0:
        return "nested too deep"
    members = [
        raw[start:end] for number, kind, start, end in _items(raw, 0, len(raw)) if (number, kind) == (1, 2)
    ]
    if message == "ArrayValue":
        return [_any_value(member, depth - 1) for member in members]
    pairs = {}
    for member in members:
        key, value = b"", b""
        for number, wire_type, start, end in _items(member, 0, len(member)):
            if wire_type == _LENGTH and number == 1:
                key = member[start:end]
            elif wire_type == _LENGTH and number == 2:
                value = member[start:end]
        pairs[decode_text(key)] = _any_value(value, depth - 1)
    return pairs


def _any_value(raw: bytes, depth: int) -> Any:
    result: Any = None
    for number, wire_type, start, end in _items(raw, 0, len(raw)):
        part = raw[start:end]
        if (number, wire_type) == (1, _LENGTH):
            result = decode_text(part)
        elif (number, wire_type) == (2, _VARINT):
            result = part.strip(b"\x80") != b"\x00"
        elif (number, wire_type) == (3, _VARINT):
            unsigned, _ = read_varint(part, 0, len(part))
            result = unsigned - (1 << 64) if unsigned >> 63 else unsigned
        elif (number, wire_type) == (4, _FIXED64):
            (result,) = struct.unpack("<d", part)
        elif (number, wire_type) == (5, _LENGTH):
            result = _collection(part, "ArrayValue", depth)
        elif (number, wire_type) == (6, _LENGTH):
            result = _collection(part, "KeyValueList", depth)
        elif (number, wire_type) == (7, _LENGTH):
            result = base64.b64encode(part).decode()
    return result
