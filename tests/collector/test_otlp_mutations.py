"""Hostile bytes: thousands of mutated payloads per decoder give a clean answer and never an exception."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from collector.decode.envoy_als import decode_als, split_identifier
from collector.decode.otlp_json import decode_logs_json, decode_metrics_json, decode_traces_json
from collector.decode.otlp_logs import decode_logs
from collector.decode.otlp_metrics import decode_metrics
from collector.decode.otlp_traces import decode_traces
from collector.decode.types import Decoded, Export
from store.schema import TABLES
from tests.collector.captures import CAPTURES, ENVOY, RECEIVED_US, exports, framed, lines

pytestmark = pytest.mark.slow

ROUNDS, PER_ROUND = 25, 100
MARKS = [b"\x00", b"\xff", b"\x0a", b"\x80" * 10, b'"', b"{", b"\\ud800", b"null"]


def small(messages: Sequence[bytes]) -> list[bytes]:
    return sorted(messages, key=len)[:8]


def _examples(name: str) -> list[bytes]:
    return [(CAPTURES / "otlp_examples" / f"otlp_example_{name}.json").read_bytes()]


def _trace_examples() -> list[bytes]:
    return _examples("trace") + small(lines("otlp_traces_spawn_http.jsonl"))


def _metrics_protobuf() -> list[bytes]:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    from collector.decode.otlp_json import to_protobuf

    bodies = [to_protobuf(body, ExportMetricsServiceRequest) for body in _examples("metrics")]
    return [body for body in bodies if isinstance(body, bytes)]


CASES: dict[str, tuple[Callable[[Sequence[Export]], Decoded], Callable[[], list[bytes]]]] = {
    "traces": (decode_traces, lambda: small(framed("otlp_grpc_traces.raw.bin"))),
    "logs": (decode_logs, lambda: small(framed("otlp_http_logs.raw.bin"))),
    "metrics": (decode_metrics, _metrics_protobuf),
    "als": (decode_als, lambda: small(framed("als.raw.bin"))),
    "traces_json": (decode_traces_json, _trace_examples),
    "logs_json": (decode_logs_json, lambda: _examples("logs")),
    "metrics_json": (decode_metrics_json, lambda: _examples("metrics")),
}


def mutate(chance: random.Random, body: bytes) -> bytes:
    data = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 30)]
            case 2:
                data[at:at] = chance.choice(MARKS)
            case 3:
                data[at:at] = data[at : at + chance.randint(1, 40)]
            case 4 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("name", CASES)
def test_mutated_bodies_never_raise(name: str) -> None:
    """Whatever arrives is kept, rejected or refused; intact exports keep all their rows."""
    decode, bodies = CASES[name]
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # shown when it fails
    chance, intact = random.Random(seed), bodies()
    alone = decode(exports(intact[0]))
    outcomes = {"refused": 0, "kept": 0}
    for _ in range(ROUNDS):
        batch = [intact[0], *(mutate(chance, chance.choice(intact)) for _ in range(PER_ROUND)), intact[0]]
        decoded = decode(exports(*batch))
        assert {table: found.schema for table, found in decoded.tables.items()} == TABLES
        for table, expected in alone.tables.items():
            if table in ("rejects", "identities"):
                continue
            per_export = decoded.tables[table].column("export").to_pylist()
            assert per_export.count(0) == per_export.count(len(batch) - 1) == expected.num_rows
        assert not {0, len(batch) - 1} & (decoded.refused.keys() | decoded.rejected.keys())
        for table in decoded.tables.values():
            table.validate(full=True)
        outcomes["refused"] += len(decoded.refused)
        outcomes["kept"] += PER_ROUND - len(decoded.refused)
    assert min(outcomes.values()) > 0, outcomes


def test_mutated_identifiers_never_raise() -> None:
    """A stream may begin with anything: the identity is then unknown, the entries are not lost."""
    first = (ENVOY / "als.raw.bin").read_bytes()[4:4000]
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance, message = random.Random(seed), framed("als.raw.bin")[4]
    expected = decode_als(exports(message)).accepted
    identifiers = [split_identifier(mutate(chance, first)) or mutate(chance, first) for _ in range(2000)]
    batch = [Export(message, "10.0.0.7", RECEIVED_US, identifier) for identifier in identifiers]
    decoded = decode_als(batch)
    assert (decoded.accepted, decoded.refused) == (2000 * expected, {})
