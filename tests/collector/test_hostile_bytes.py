"""Bytes the fuzzer found (`python -m tests.fuzz`), each with what has to come of it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from google.protobuf.internal.encoder import _VarintBytes

from collector.compression import inflate
from collector.decode.envoy_als import decode_als
from collector.decode.otlp_logs import decode_logs
from collector.decode.otlp_metrics import decode_metrics
from collector.decode.otlp_traces import decode_traces
from collector.decode.types import Decoded, Export
from collector.errors import Undecodable
from tests.collector.captures import exports

LENGTH = b"\xff" * 9 + b"\x01"  # 2**64 - 1


OTLP = [decode_traces, decode_logs, decode_metrics]


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        *((decode, b"\x0a" + LENGTH + b"abc") for decode in (*OTLP, decode_als)),  # at the top
        *((decode, b"\x0a\x0c\x12" + LENGTH + b"x") for decode in OTLP),  # in a resource's group
        (decode_als, b"\x12\x0c\x0a" + LENGTH + b"x"),  # in a group of entries
    ],
)
def test_a_length_that_ends_before_it_starts(
    decode: Callable[[Sequence[Export]], Decoded], body: bytes
) -> None:
    """A length near 2**64 makes ptars panic: the export is refused with its byte, those beside it are not."""
    decoded = decode(exports(b"", body, b""))
    assert [(number, "byte" in one.message) for number, one in decoded.refused.items()] == [(1, True)]
    assert decoded.refused[1].offset is not None


def wrapped(body: bytes, *fields: int) -> bytes:
    """``body`` as the bytes of these fields, the last one outermost."""
    for field in fields:
        body = _VarintBytes(field << 3 | 2) + _VarintBytes(len(body)) + body
    return body


@pytest.mark.parametrize("end", [b"", b"\x0c"], ids=["open", "ended"])
@pytest.mark.parametrize(
    ("decode", "fields"),
    [
        *((decode, fields) for decode in OTLP for fields in ((), (1,), (2, 1), (2, 2, 1))),
        *((decode_als, fields) for fields in ((), (2,), (1, 2))),
    ],
)
def test_groups_within_groups(
    decode: Callable[[Sequence[Export]], Decoded], fields: tuple[int, ...], end: bytes
) -> None:
    """Groups within groups, at any level, would overflow ptars' stack and end the collector."""
    depth = 400_000  # twice what eight megabytes of stack bear
    body = wrapped(b"\x0b" * depth + end * depth, *fields)
    decoded = decode(exports(b"", body, b""))
    assert list(decoded.refused) == [1]
    assert "nested too deep" in decoded.refused[1].message
    assert decoded.refused[1].offset is not None


def address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def test_broken_zstd_bodies_leave_no_memory_behind() -> None:
    """pyarrow's `read` keeps its megabyte for ever where the bytes break: a stranger could fill the memory."""
    broken = pa.compress(bytes(3000), codec="zstd", asbytes=True)[:-5]
    before = address_space_bytes()
    for _ in range(300):
        with pytest.raises(Undecodable):
            inflate(broken, "zstd", 1 << 20)
    assert address_space_bytes() - before < 100 << 20
