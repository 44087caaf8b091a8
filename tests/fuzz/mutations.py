"""Changing real inputs into hostile ones, the same for the same random generator.

What must stay true: an input is a function of its generator and corpus alone, so that a seed and a number
name it; it never grows past `INPUT_BYTES_MAX`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

INPUT_BYTES_MAX = 256 * 1024
_GROWTH = [4 * 1024] * 40 + [32 * 1024] * 4 + [INPUT_BYTES_MAX]  # most stay small: more of them are tried
_CHANGES_MAX = 5

_BYTES = [b"\x00", b"\xff", b"\x7f", b"\x80" * 10, b"\xff" * 9 + b"\x01", b"\n", b"\r\n", b"\0" * 64]
_NOT_UTF8 = [b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f", b"\xc0\x80", b"\xe2\x80\xa8"]
_TEXT = [
    b'"',
    b'" "',
    b"\\",
    b"%",
    b"%%",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b" - ",
    b"|",
    b"\\ud800",
    b"null",
    b"-",
]
_NUMBERS = [
    b"0",
    b"-1",
    b"9" * 18,
    b"9" * 19,
    b"9" * 400,
    b"18446744073709551616",
    b"1e999",
    b"-0",
    b"NaN",
    b"0x10",
]
_DIGITS = re.compile(rb"\d+")

Change = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutated(chance: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One hostile input made of ``corpus``; once in a while one that is still intact."""
    data = chance.choice(corpus)
    limit = min(INPUT_BYTES_MAX, len(data) + chance.choice(_GROWTH))
    for _ in range(chance.randrange(_CHANGES_MAX + 1)):
        data = chance.choice(CHANGES)(chance, data, corpus)[:limit]
    return data


def flip_bit(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def set_byte(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def truncate(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def delete(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _part(chance, data)
    return data[:start] + data[end:]


def insert(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(chance.choice([_BYTES, _NOT_UTF8, _TEXT])) + data[at:]


def repeat(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A block again and again: more records, attributes, members or quotes than anybody sends."""
    start, end = _part(chance, data)
    times = min(chance.choice([2, 3, 50, 1000]), INPUT_BYTES_MAX // max(1, end - start))
    return data[:end] + data[start:end] * times + data[end:]


def splice(chance: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """The beginning of one input and the end of another."""
    other = chance.choice(corpus)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def change_length(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Another length behind what may be the tag of a length-delimited protobuf field."""
    tags = [at for at in _some_places(chance, data) if data[at] & 7 == 2]
    if not tags:
        return data
    at = chance.choice(tags) + 1
    length = data[at] if at < len(data) else 0
    told = chance.choice([0, length + 1, max(0, length - 1), len(data), 1 << 31, (1 << 64) - 1])
    return data[:at] + varint(told) + data[at + 1 :]


def change_number(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Another number where the text has one."""
    start = chance.randrange(len(data) + 1)
    found = _DIGITS.search(data, start, start + 2000)
    if found is None:
        return data
    return data[: found.start()] + chance.choice(_NUMBERS) + data[found.end() :]


def nest_wire(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A block wrapped again and again as a length-delimited field: values in values in values."""
    start, end = _part(chance, data)
    tags = chance.choice([b"\x0a", b"\x12", b"\x2a", b"\x32", b"\x2a\x0a", b"\x32\x0a\x12"])
    block = data[start:end]
    for _ in range(chance.choice([3, 12, 120, 1200])):
        for tag in reversed(tags):
            block = bytes([tag]) + varint(len(block)) + block
        if len(block) > INPUT_BYTES_MAX:
            break
    return data[:start] + block + data[end:]


def nest_groups(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Groups within groups that are begun and perhaps ended: a byte each, which parsers pass over by recursion."""
    at = chance.randrange(len(data) + 1)
    field, times = chance.choice([1, 4, 15]) << 3, chance.choice([3, 120, 1200, 20_000, 200_000])
    ends = bytes([field | 4]) * chance.choice([0, times - 1, times])
    return data[:at] + bytes([field | 3]) * times + ends + data[at:]


def nest_json(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A block inside many brackets."""
    start, end = _part(chance, data)
    times = chance.choice([3, 12, 120, 1200, 20_000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'{"values":[', b"]}")])
    return data[:start] + opening * times + data[start:end] + closing * times + data[end:]


CHANGES: list[Change] = [
    flip_bit, set_byte, truncate, delete, insert, repeat, splice, change_length, change_number, nest_wire,
    nest_groups, nest_json
]  # fmt: skip


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _part(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice([1, 8, 60, 400]))


def _some_places(chance: random.Random, data: bytes) -> range:
    start = chance.randrange(len(data) + 1)
    return range(start, min(len(data), start + 200))
