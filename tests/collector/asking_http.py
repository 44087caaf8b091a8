"""Asking a collector's HTTP port as senders do, over real sockets; also as no client would."""

from __future__ import annotations

import contextlib
import http.client
import socket
import zlib
from collections.abc import Iterator

import pyarrow as pa

from collector.main import Collector

MIB = 1 << 20
PROTOBUF, JSON = "application/x-protobuf", "application/json"
HEAD = b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
Reply = tuple[int, dict[str, str], bytes]


def connect(collector: Collector) -> http.client.HTTPConnection:
    host, _, port = collector.http.address.rpartition(":")
    return http.client.HTTPConnection(host, int(port), timeout=60)


def ask(
    collector: Collector,
    body: bytes | Iterator[bytes] = b"",
    path: str = "/v1/traces",
    method: str = "POST",
    content_type: str = PROTOBUF,
    **headers: str,
) -> Reply:
    connection = connect(collector)
    named = {"content-type": content_type} | {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request(method, path, body, named, encode_chunked=not isinstance(body, bytes))
    response = connection.getresponse()
    reply = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    connection.close()
    return reply


def raw(collector: Collector, data: bytes, wait_s: float = 5) -> bytes:
    """What comes back for bytes written as they are, until the server closes or falls silent."""
    host, _, port = collector.http.address.rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=wait_s) as connection:
        connection.sendall(data)
        try:
            while piece := connection.recv(65536):
                answer += piece
                if b"\r\n\r\n" in answer:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


def zstd(body: bytes) -> bytes:
    return pa.compress(body, codec="zstd", asbytes=True)


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    return stream.compress(body) + stream.flush()


def raw_chunked(collector: Collector, body: bytes) -> bytes:
    head = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    host, _, port = collector.http.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before all was sent
            connection.sendall(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        return connection.recv(65536)
