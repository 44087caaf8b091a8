"""The gRPC port, asked by a real client over real sockets with raw bytes."""

from __future__ import annotations

import gzip
import os
import resource
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.decode.types import Decoded, Export
from collector.errors import PortTaken
from collector.grpc_server import ALS_METHOD, HEALTH_CHECK, HEALTH_WATCH, OTLP_METHODS, peer_ip
from collector.main import Collector
from tests.collector.running import STAND_INS, counted, running_collector, stand_in, stored_bodies

TRACES, LOGS, METRICS = OTLP_METHODS
MIB = 1 << 20


@pytest.fixture(scope="module")
def collector(tmp_path_factory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("data"), body_limit_bytes=8 * MIB) as one:
        yield one


def call(
    collector: Collector,
    body: bytes,
    method: str = TRACES,
    compression: grpc.Compression = grpc.Compression.NoCompression,
    metadata: tuple[tuple[str, str], ...] = (),
) -> bytes:
    with grpc.insecure_channel(collector.grpc.address) as channel:
        return channel.unary_unary(method)(body, timeout=60, compression=compression, metadata=metadata)


def refusal(attempt: Callable[[], object]) -> tuple[grpc.StatusCode, str, Status | None]:
    with pytest.raises(grpc.RpcError) as caught:
        attempt()
    error = caught.value
    trailers = dict(error.trailing_metadata() or ())
    raw = trailers.get("grpc-status-details-bin")
    return error.code(), error.details(), None if raw is None else Status.FromString(raw)


def retry_seconds(status: Status | None) -> int | None:
    for detail in status.details if status else ():
        info = RetryInfo()
        if detail.Unpack(info):
            return info.retry_delay.seconds
    return None


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


def test_token(tmp_path):
    """With a token file only bearers of one of its tokens may send; health stays open."""
    tokens = tmp_path / "tokens"
    tokens.write_text("first-token\n\nsecond-token\n")
    with running_collector(tmp_path, token_file=tokens) as collector:
        for header in (
            None,
            "Bearer wrong",
            "second-token",
            "Basic second-token",
            "Bearer \u00e9".encode("latin-1"),
        ):
            metadata = () if header is None else (("authorization", header),)
            for method in (TRACES, LOGS):
                try:
                    code, _, _ = refusal(lambda: call(collector, b"x", method, metadata=metadata))  # noqa: B023
                except ValueError:
                    continue  # the client itself refuses to send such a header
                assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INTERNAL)
        for token in ("first-token", "second-token"):
            assert call(collector, b"x", metadata=(("authorization", f"Bearer {token}"),)) == b""
        with grpc.insecure_channel(collector.grpc.address) as channel:
            code, _, _ = refusal(lambda: channel.stream_unary(ALS_METHOD)(iter([b"x"]), timeout=30))
            assert code == grpc.StatusCode.UNAUTHENTICATED
        assert call(collector, b"", HEALTH_CHECK) == b"\x08\x01"
        assert counted(collector, "sidelight_refused_exports_total", reason="unauthorized") >= 1


@pytest.mark.parametrize(
    ("service", "answer"),
    [
        ("", b"\x08\x01"),
        ("opentelemetry.proto.collector.trace.v1.TraceService", b"\x08\x01"),
        ("envoy.service.accesslog.v3.AccessLogService", b"\x08\x01"),
        ("nobody", grpc.StatusCode.NOT_FOUND),
    ],
)
def test_health_check(collector, service, answer):
    """grpc.health.v1 says SERVING for what is served here."""
    request = b"\x0a" + bytes([len(service)]) + service.encode() if service else b""
    if isinstance(answer, bytes):
        assert call(collector, request, HEALTH_CHECK) == answer
    else:
        assert refusal(lambda: call(collector, request, HEALTH_CHECK))[0] == answer


def test_health_watch(tmp_path):
    """Watch says SERVING, and NOT_SERVING when the collector is told to stop."""
    channel = None
    with running_collector(tmp_path) as collector:
        channel = grpc.insecure_channel(collector.grpc.address)
        seen = channel.unary_stream(HEALTH_WATCH)(b"", timeout=30)
        assert next(seen) == b"\x08\x01"
    assert next(seen) == b"\x08\x02"
    channel.close()


def test_access_log_stream(collector):
    """The identifier of the first message holds for the stream; its end is answered after the journal."""
    with grpc.insecure_channel(collector.grpc.address) as channel:
        messages = [b"ID:node-7|first", *(b"log %d" % n for n in range(500))]
        assert channel.stream_unary(ALS_METHOD)(iter(messages), timeout=60) == b""
    from tests.collector.journal_reading import read_folder

    rows = [
        (row["reason"], row["place"])
        for batch in read_folder(collector.settings.data / "journal")
        for row in batch.tables["rejects"].to_pylist()
        if row["place"] == "node-7"
    ]
    assert sorted(rows) == sorted((message.decode(), "node-7") for message in messages)


def test_access_log_stream_is_stored_while_open(collector):
    """A stream that never ends is journalled as it comes."""
    more = threading.Event()

    def endless() -> Iterator[bytes]:
        yield b"ID:endless|one"
        more.wait(30)

    with grpc.insecure_channel(collector.grpc.address) as channel:
        future = channel.stream_unary(ALS_METHOD).future(endless(), timeout=60)
        deadline = time.monotonic() + 10
        while "ID:endless|one" not in stored_bodies(collector.settings.data) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "ID:endless|one" in stored_bodies(collector.settings.data)
        more.set()
        assert future.result() == b""


def test_access_log_message_that_is_none(collector):
    """An undecodable message ends the stream with its reason; what came before is kept."""
    with grpc.insecure_channel(collector.grpc.address) as channel:
        messages = iter([b"ID:mixed|kept", b"bad"])
        code, message, _ = refusal(lambda: channel.stream_unary(ALS_METHOD)(messages, timeout=60))
    assert (code, message) == (grpc.StatusCode.INVALID_ARGUMENT, "this is no message (at byte 3)")
    assert "ID:mixed|kept" in stored_bodies(collector.settings.data)


def test_access_log_stream_is_braked_not_refused(tmp_path):
    """While nothing can be stored the sender is held up by flow control; afterwards all of it is there."""
    gate = threading.Event()
    sent: list[int] = []

    def slow(exports: list[Export]) -> Decoded:
        gate.wait(60)
        return stand_in(exports)

    def messages() -> Iterator[bytes]:
        for number in range(1500):
            sent.append(number)
            yield b"%06d" % number + b"." * 16_000

    with (
        running_collector(tmp_path, STAND_INS | {"als": slow}, waiting_limit_bytes=2 * MIB) as collector,
        grpc.insecure_channel(collector.grpc.address) as channel,
    ):
        future = channel.stream_unary(ALS_METHOD).future(messages(), timeout=120)
        time.sleep(2)
        held_at = len(sent)
        assert held_at < 1400
        assert collector.intake.room.used <= 2 * MIB * 9 // 8
        gate.set()
        assert future.result() == b""
        assert counted(collector, "sidelight_braked_streams_total", source="als") >= 1
    numbers = [int(body[:6]) for body in stored_bodies(tmp_path)]
    assert sorted(numbers) == list(range(1500))


def test_access_log_message_is_offered_again(tmp_path, monkeypatch):
    """A message the disk refused is not lost: it is written once the disk takes it."""
    with (
        running_collector(tmp_path) as collector,
        grpc.insecure_channel(collector.grpc.address) as channel,
    ):
        real, failures = os.writev, []

        def fails_once(fd, parts):
            if not failures:
                failures.append(1)
                raise OSError(28, "No space left on device")
            return real(fd, parts)

        monkeypatch.setattr(os, "writev", fails_once)
        assert channel.stream_unary(ALS_METHOD)(iter([b"ID:x|one"]), timeout=60) == b""
    assert failures
    assert stored_bodies(tmp_path) == ["ID:x|one"]


def test_stop_ends_open_streams(tmp_path):
    """Told to stop, the collector keeps what a stream sent, ends it, and is soon gone."""
    done = threading.Event()

    def endless() -> Iterator[bytes]:
        yield b"ID:stop|one"
        done.wait(30)

    with running_collector(tmp_path) as collector:
        channel = grpc.insecure_channel(collector.grpc.address)
        future = channel.stream_unary(ALS_METHOD).future(endless(), timeout=60)
        deadline = time.monotonic() + 10
        while not stored_bodies(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert future.exception(timeout=5) is None
    done.set()
    channel.close()
    assert stored_bodies(tmp_path) == ["ID:stop|one"]


def test_garbage_on_the_port(collector):
    """What is no HTTP/2 at all disturbs nobody."""
    host, _, port = collector.grpc.address.rpartition(":")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(1000), b""):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(garbage)
    assert call(collector, b"still here") == b""


def test_port_taken(tmp_path):
    """A port that another program holds is a sentence, not a trace."""
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen(1)
        address = f"127.0.0.1:{foreign.getsockname()[1]}"
        for name in ("grpc", "http"):
            with pytest.raises(PortTaken, match=address), running_collector(tmp_path, **{name: address}):
                pass


@pytest.mark.parametrize(
    ("peer", "ip"),
    [
        ("ipv4:127.42.0.3:1234", "127.42.0.3"),
        ("ipv6:%5B::1%5D:1234", "::1"),
        ("ipv6:[fe80::1%25eth0]:99", "fe80::1%eth0"),
        ("unix:/tmp/x", None),
        ("", None),
    ],
)
def test_peer_ip(peer, ip):
    """The sending connection's address without its port."""
    assert peer_ip(peer) == ip


def test_peer_reaches_the_decoder(collector):
    """A row knows the address of the connection it came through."""
    from tests.collector.journal_reading import read_folder

    call(collector, b"who am I")
    rows = [
        row["source"]
        for batch in read_folder(collector.settings.data / "journal")
        for row in batch.tables["rejects"].to_pylist()
        if row["reason"] == "who am I"
    ]
    assert rows == ["127.0.0.1"]
