"""The gRPC port itself: who may send, health, what is no gRPC, and whose connection it is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import grpc
import pytest

from collector.errors import PortTaken
from collector.grpc_server import ALS_METHOD, HEALTH_CHECK, HEALTH_WATCH, peer_ip
from collector.main import Collector
from tests.collector.asking_grpc import LOGS, MIB, TRACES, call, refusal
from tests.collector.running import counted, running_collector


@pytest.fixture(scope="module")
def collector(tmp_path_factory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("data"), body_limit_bytes=8 * MIB) as one:
        yield one


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
