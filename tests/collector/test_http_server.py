"""The HTTP port, asked by real clients over real sockets; also by those who do not know HTTP."""

from __future__ import annotations

import gzip
import json
import os
import resource
import socket
import threading
import time
import zlib
from collections.abc import Iterator

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.decode.types import Decoded, Export
from collector.main import Collector
from tests.collector.asking_http import (
    HEAD,
    JSON,
    MIB,
    PROTOBUF,
    Reply,
    ask,
    connect,
    raw,
    raw_chunked,
    raw_deflate,
    zstd,
)
from tests.collector.running import STAND_INS, counted, running_collector, stand_in, stored_bodies


@pytest.fixture(scope="module")
def collector(tmp_path_factory) -> Iterator[Collector]:
    data = tmp_path_factory.mktemp("data")
    with running_collector(data, body_limit_bytes=8 * MIB) as one:
        yield one


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize(
    ("content_type", "answered", "body"),
    [
        (PROTOBUF, PROTOBUF, b""),
        ("Application/X-Protobuf; charset=utf-8", PROTOBUF, b""),
        (JSON, JSON, b"{}"),
        ("application/json;charset=UTF-8", JSON, b"{}"),
    ],
)
def test_taken(collector, path, content_type, answered, body):
    """Success answers in the type of the request, and the body is in the journal by then."""
    sent = f"{path} {content_type}"
    status, headers, answer = ask(collector, sent.encode(), path, content_type=content_type)
    assert (status, headers["content-type"], answer) == (200, answered, body)
    assert sent in stored_bodies(collector.settings.data)


@pytest.mark.parametrize(
    ("path", "response", "field", "json_field"),
    [
        ("/v1/traces", ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
        ("/v1/logs", ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
        ("/v1/metrics", ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
    ],
)
def test_partial_success(collector, path, response, field, json_field):
    """Bad records among good ones: 200, with how many and why, in both types."""
    status, _, body = ask(collector, b"half", path)
    partial = response.FromString(body).partial_success
    assert (status, getattr(partial, field)) == (200, 2)
    assert "trace_id" in partial.error_message
    status, _, body = ask(collector, b"half", path, content_type=JSON)
    assert status == 200
    assert json.loads(body)["partialSuccess"][json_field] == "2"


def test_undecodable(collector):
    """400 with google.rpc.Status and the offset, as protobuf and as JSON."""
    status, headers, body = ask(collector, b"bad")
    assert (status, headers["content-type"]) == (400, PROTOBUF)
    assert Status.FromString(body).message == "this is no message (at byte 3)"
    status, headers, body = ask(collector, b"bad", content_type=JSON)
    assert (status, headers["content-type"]) == (400, JSON)
    assert json.loads(body) == {"code": 3, "message": "this is no message (at byte 3)"}


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:7]) + gzip.compress(body[7:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("zstd", zstd),
        ("identity", bytes),
    ],
)
def test_encodings(collector, encoding, compress):
    """Every named encoding is opened."""
    body = f"{encoding} {time.monotonic_ns()} ".encode() + b"z" * 3_000_000
    status, _, _ = ask(collector, compress(body), content_encoding=encoding)
    assert status == 200
    assert body[:200].decode() in stored_bodies(collector.settings.data)


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(os.urandom(50_000))[:-100], 400),
        ("gzip", gzip.compress(os.urandom(500))[:5], 400),
        ("gzip", b"no gzip", 400),
        ("gzip", b"", 400),
        ("gzip", gzip.compress(b"x") + b"tail", 400),
        ("gzip", gzip.compress(b"") * 1000, 400),
        ("deflate", b"\xff" * 100, 400),
        ("zstd", zstd(os.urandom(5000))[:-100], 400),
        ("zstd", b"no zstd", 400),
        ("br", b"x", 415),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x")), 415),
    ],
    # gzip writes the time of day: as an id it would differ between the processes that run the tests.
    ids=[
        "cut",
        "head",
        "text",
        "nothing",
        "tail",
        "many",
        "bad deflate",
        "cut zstd",
        "text as zstd",
        "br",
        "twice",
    ],
)
def test_broken_encodings(collector, encoding, body, status):
    """Truncated or broken compression is 400, an unknown one 415."""
    assert ask(collector, body, content_encoding=encoding)[0] == status


def test_size_limit(collector):
    """One byte over the limit is 413, with and without Content-Length, compressed or not."""
    body = b"y" * (8 * MIB)
    assert ask(collector, body)[0] == 200
    assert ask(collector, body + b"y")[0] == 413
    assert ask(collector, gzip.compress(body + b"y", 1), content_encoding="gzip")[0] == 413
    assert ask(collector, zstd(body + b"y"), content_encoding="zstd")[0] == 413
    assert raw_chunked(collector, body + b"y").startswith(b"HTTP/1.1 413")


def test_bombs(collector):
    """A quarter of a gigabyte in a quarter of a megabyte: 413, and memory stays where it was."""
    stream = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join(stream.compress(bytes(MIB)) for _ in range(256)) + stream.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(4):
        assert ask(collector, bomb, content_encoding="gzip")[0] == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_chunked_without_length(collector):
    """Envoy sends chunks and no Content-Length."""
    pieces = [b"chunk ", b"by ", b"chunk"]
    status, _, _ = ask(collector, iter(pieces), transfer_encoding="chunked")
    assert status == 200
    assert "chunk by chunk" in stored_bodies(collector.settings.data)


def test_keep_alive(collector):
    """One connection carries many exports, refused ones among them."""
    connection = connect(collector)
    connection.connect()
    first = connection.sock
    for number in range(20):
        body = b"bad" if number % 3 == 0 else b"keep %d" % number
        connection.request("POST", "/v1/traces", body, {"content-type": PROTOBUF})
        response = connection.getresponse()
        response.read()
        assert response.status == (400 if number % 3 == 0 else 200)
        assert connection.sock is first
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("GET", "/v1/traces", PROTOBUF, 405),
        ("PUT", "/v1/logs", PROTOBUF, 405),
        ("DELETE", "/v1/metrics", PROTOBUF, 405),
        ("POST", "/", PROTOBUF, 404),
        ("POST", "/v1/profiles", PROTOBUF, 404),
        ("POST", "/v1/traces/", PROTOBUF, 404),
        ("POST", "/v1/traces", "text/plain", 415),
        ("POST", "/v1/traces", "", 415),
        ("POST", "/v1/traces", "application/x-protobufs", 415),
        ("GET", "/healthz", "", 200),
    ],
)
def test_routes(collector, method, path, content_type, status):
    """Unknown path 404, other method 405 with Allow, unknown type 415, and a place to ask for health."""
    got, headers, _ = ask(collector, b"", path, method, content_type)
    assert got == status
    assert (headers.get("allow") == "POST") == (status == 405)


def test_token(tmp_path):
    """With a token file only bearers of one of its tokens may send."""
    tokens = tmp_path / "tokens"
    tokens.write_text("abc\ndef\n")
    with running_collector(tmp_path, token_file=tokens) as collector:
        for wrong in ("", "Bearer", "Bearer ab", "Bearer abcd", "abc", "Basic abc", "Bearer \u00e9"):
            status, headers, _ = ask(collector, b"x", authorization=wrong)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert ask(collector, b"x")[0] == 401
        for right in ("Bearer abc", "bearer def"):
            assert ask(collector, b"x", authorization=right)[0] == 200
        assert ask(collector, path="/healthz", method="GET")[0] == 200
        assert counted(collector, "sidelight_refused_exports_total", reason="unauthorized") == 8


def test_overloaded(tmp_path):
    """Too much waiting: 429 with Retry-After and RetryInfo."""
    gate, entered = threading.Event(), threading.Event()

    def slow(exports: list[Export]) -> Decoded:
        entered.set()
        gate.wait(30)
        return stand_in(exports)

    with running_collector(tmp_path, STAND_INS | {"otlp_traces": slow}, waiting_limit_bytes=MIB) as collector:
        waiting: list[Reply] = []
        sender = threading.Thread(target=lambda: waiting.append(ask(collector, b"x" * 900_000)))
        sender.start()
        assert entered.wait(30)
        status, headers, body = ask(collector, b"y" * 900_000)
        assert (status, headers["retry-after"]) == (429, "1")
        info = RetryInfo()
        assert Status.FromString(body).details[0].Unpack(info)
        assert info.retry_delay.seconds == 1
        gate.set()
        sender.join(30)
        assert waiting[0][0] == 200
        assert collector.intake.room.used == 0


def test_disk_full(tmp_path, monkeypatch):
    """A write the disk refused is 503 with Retry-After; the next one works and nothing is doubled."""
    with running_collector(tmp_path) as collector:
        real, failures = os.writev, []

        def fails_once(fd, parts):
            if not failures:
                failures.append(1)
                raise OSError(28, "No space left on device")
            return real(fd, parts)

        monkeypatch.setattr(os, "writev", fails_once)
        status, headers, _ = ask(collector, b"x")
        assert (status, headers["retry-after"]) == (503, "2")
        assert ask(collector, b"x")[0] == 200
    assert stored_bodies(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD + b"content-length: -1\r\n\r\nxx", b"400"),
        (HEAD + b"content-length: 12abc\r\n\r\nxx", b"400"),
        (HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nxxx", b"400"),
        (HEAD + b"content-length: 99999999999999999999\r\n\r\nxx", b"4"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\nxx\r\n", b"400"),
        (HEAD + b"x: " + b"y" * 200_000 + b"\r\n\r\n", b"4"),
        (b"\x16\x03\x01\x02\x00" + os.urandom(200) + b"\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
        (b"POST /v1/traces HTTP/9.9\r\n\r\n", b""),
    ],
)
def test_broken_requests(collector, data, status):
    """What is no HTTP gets a 4xx or a closed door; the server lives on."""
    try:
        answer = raw(collector, data)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 " + status)
    assert ask(collector, b"alive")[0] == 200


def test_too_long_a_body_is_refused_before_it_is_sent(collector):
    """Who announces a body over the limit is told so at once, and has not to send it first."""
    answer = raw(collector, HEAD + b"content-length: 9999999999999\r\n\r\nxx", wait_s=3)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


def test_slow_body(tmp_path):
    """A body that does not come in time is 408, and the connection is closed."""
    with running_collector(tmp_path, body_timeout_s=0.5) as collector:
        answer = raw(collector, HEAD + b"content-length: 100\r\n\r\nxx", wait_s=20)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in answer.lower()
        assert collector.intake.room.used == 0


def test_client_that_hangs_up(collector):
    """Gone in the middle of its body: nothing is stored, nothing is held."""
    host, _, port = collector.http.address.rpartition(":")
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(HEAD + b"content-length: 1000\r\n\r\nhung up")
    time.sleep(0.3)
    assert ask(collector, b"alive")[0] == 200
    assert collector.intake.room.used == 0
    assert not any(body.startswith("hung up") for body in stored_bodies(collector.settings.data))


def test_metrics_file(tmp_path):
    """What was counted lies in DATA/run for the store's process, whole at every moment."""
    with running_collector(tmp_path) as collector:
        ask(collector, b"x")
        path = collector.settings.metrics_path
    body = json.loads(path.read_text())
    assert body["collector"] == "collector0"
    assert body["listening"]["http"] == collector.http.address
    received = next(one for one in body["series"] if one["name"] == "sidelight_received_exports_total")
    assert received["samples"] == [
        {"labels": {"collector": "collector0", "source": "otlp_traces"}, "value": 1}
    ]
