"""Bytes the fuzzer found (`python -m tests.fuzz`), each with what has to come of it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.internal.encoder import _VarintBytes

from collector.compression import inflate
from collector.decode.descriptors import handler
from collector.decode.envelope import broken_inside
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
        # In what is opened by itself: an attribute of a span and of a log record, an address, flags, a header.
        (decode_traces, (9, 2, 2, 1)),
        (decode_logs, (6, 2, 2, 1)),
        *((decode_als, (*fields, 1, 2)) for fields in ((2, 1), (16, 1), (13, 3))),
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


@pytest.mark.parametrize(("decode", "record"), [(decode_traces, 9), (decode_logs, 6)])
def test_an_attribute_that_breaks_refuses_every_export_that_has_it(
    decode: Callable[[Sequence[Export]], Decoded], record: int
) -> None:
    """Equal attributes are opened once; whose they are is asked where one breaks. A record's own faults come after."""
    impossible = (
        b"\x09" + b"\xff" * 8
    )  # as time of a log record; in a span a field of the wrong kind, skipped
    good, bad = (
        wrapped(impossible + wrapped(pair, record), 2, 2, 1) for pair in (b"\x0a\x01k", b"\x0a\x05k")
    )
    decoded = decode(exports(bad, good, bad))
    assert list(decoded.refused) == [0, 2]
    assert all("field 1 says 5 bytes, 1 are left" in one.message for one in decoded.refused.values())


def test_entries_that_break_in_different_parts_are_found_in_one_look() -> None:
    """Each part would cost a decoding of all messages, were the broken ones found one part after the other."""
    pools = {"address": (2, 1), "certificate": (4, 1), "flags": (16, 1), "tag": (22, 1), "header": (13, 3)}
    bodies = [wrapped(b"\x0a\x05k", *fields) for fields in pools.values()]
    rows = handler("HttpEntry").array_to_record_batch(pa.array([b"", *bodies], pa.binary()))
    assert broken_inside("HttpEntry", rows.to_struct_array(), np.arange(6)).keys() == {1, 2, 3, 4, 5}
    decoded = decode_als(exports(b"", *(wrapped(body, 1, 2) for body in bodies)))
    assert list(decoded.refused) == [1, 2, 3, 4, 5]


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
