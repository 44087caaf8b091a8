"""OTLP exports over gRPC, asked by a real client over real sockets with raw bytes."""

from __future__ import annotations

import gzip
import os
import resource
import threading
import time
import zlib
from collections.abc import Iterator

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.decode.types import Decoded, Export
from collector.grpc_server import OTLP_METHODS
from collector.main import Collector
from tests.collector.asking_grpc import LOGS, METRICS, MIB, TRACES, call, refusal, retry_seconds
from tests.collector.running import STAND_INS, counted, running_collector, stand_in, stored_bodies


@pytest.fixture(scope="module")
def collector(tmp_path_factory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("data"), body_limit_bytes=8 * MIB) as one:
        yield one


@pytest.mark.parametrize("method", OTLP_METHODS)
def test_taken(collector, method):
    """Full success is an empty response, and the body is in the journal by then."""
    body = f"taken {method}"
    assert call(collector, body.encode(), method) == b""
    assert body in stored_bodies(collector.settings.data)


@pytest.mark.parametrize(
    ("method", "response", "field"),
    [
        (TRACES, ExportTraceServiceResponse, "rejected_spans"),
        (LOGS, ExportLogsServiceResponse, "rejected_log_records"),
        (METRICS, ExportMetricsServiceResponse, "rejected_data_points"),
    ],
)
def test_partial_success(collector, method, response, field):
    """Bad records among good ones: success, with how many and why."""
    answer = response.FromString(call(collector, b"half", method))
    assert getattr(answer.partial_success, field) == 2
    assert answer.partial_success.error_message == "spans[3].trace_id is 15 bytes long"


def test_undecodable(collector):
    """Bytes that are no message: INVALID_ARGUMENT with the offset, and no invitation to try again."""
    code, message, status = refusal(lambda: call(collector, b"bad bytes"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert message == "this is no message (at byte 3)"
    assert status is not None
    assert retry_seconds(status) is None


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed(collector, compression):
    """gzip and deflate messages are opened."""
    body = f"compressed {compression} ".encode() + b"a" * 5000
    assert call(collector, body, compression=compression) == b""
    assert body.decode()[:200] in stored_bodies(collector.settings.data)


@pytest.mark.parametrize("size", [8 * MIB - 100, 8 * MIB + 1])
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_size_limit(collector, size, compression):
    """The limit holds for the size after decompression; past it nobody is told to try again."""
    body = (b"size" + os.urandom(1000)).ljust(size, b"x")
    if size < 8 * MIB:
        assert call(collector, body, compression=compression) == b""
        return
    code, message, status = refusal(lambda: call(collector, body, compression=compression))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger" in message
    assert retry_seconds(status) is None


def test_gzip_bomb(collector):
    """256 MiB of zeros in a quarter of a MiB: refused, and memory stays where it was."""
    stream = zlib.compressobj(1, zlib.DEFLATED, 31)
    zeros = bytes(MIB)
    bomb = b"".join(stream.compress(zeros) for _ in range(256)) + stream.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(4):
        code, _, status = refusal(lambda: call(collector, bomb))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_seconds(status) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_truncated_gzip(collector):
    """A gzip body that ends too early is undecodable."""
    body = gzip.compress(os.urandom(50_000))[:-500]
    code, message, _ = refusal(lambda: call(collector, body))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "ends too early" in message


def test_defect(collector):
    """Bytes that meet a defect of ours are INTERNAL, and the server goes on."""
    code, _, _ = refusal(lambda: call(collector, b"boom"))
    assert code == grpc.StatusCode.INTERNAL
    assert call(collector, b"after boom") == b""


def test_unknown_method(collector):
    """What is not served is UNIMPLEMENTED."""
    code, _, _ = refusal(lambda: call(collector, b"", "/some.Service/Call"))
    assert code == grpc.StatusCode.UNIMPLEMENTED


def test_overloaded(tmp_path):
    """Too much waiting: RESOURCE_EXHAUSTED with RetryInfo, counted; what waits is answered later."""
    gate, entered = threading.Event(), threading.Event()

    def slow(exports: list[Export]) -> Decoded:
        entered.set()
        gate.wait(30)
        return stand_in(exports)

    decoders = STAND_INS | {"otlp_traces": slow}
    with running_collector(tmp_path, decoders, waiting_limit_bytes=MIB) as collector:
        with grpc.insecure_channel(collector.grpc.address) as channel:
            waiting = channel.unary_unary(TRACES).future(b"x" * 900_000, timeout=60)
            assert entered.wait(30)
            code, _, status = refusal(lambda: call(collector, b"y" * 900_000))
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert retry_seconds(status) == 1
            gate.set()
            assert waiting.result() == b""
        reason = {"source": "otlp_traces", "reason": "overloaded"}
        assert counted(collector, "sidelight_refused_exports_total", **reason) == 1


def test_journal_full(tmp_path):
    """A journal at its limit refuses with RetryInfo until it has been sealed."""
    journal = tmp_path / "journal"
    journal.mkdir()
    other = journal / "import-1-000000000001.journal"
    other.write_bytes(bytes(2 * MIB))
    with running_collector(tmp_path, journal_limit_bytes=MIB) as collector:
        code, _, status = refusal(lambda: call(collector, b"x"))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_seconds(status) == 5
        other.unlink()
        time.sleep(0.3)
        assert call(collector, b"x") == b""
