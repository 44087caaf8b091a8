"""The gRPC port: OTLP traces, metrics and logs, Envoy's access log service, health.

Handlers get raw message bytes; nothing is parsed here. What must stay true:

* an OTLP export is answered after the journal's sync;
* a message never grows past the body limit: grpcio checks its own limit *before* decompression only
  (a 64 MiB gzip message could become 64 GB), so its decompression is switched off and ours is used;
* an access log stream is never refused for want of room: we stop reading, and HTTP/2 flow control
  makes Envoy wait. Its end is answered once all of it is in the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio

from collector.access import check_authorization
from collector.als_stream import AlsStream, SplitIdentifier
from collector.answers import STATUS_DETAILS_KEY, response_bytes, status_bytes
from collector.compression import inflate, sniff
from collector.errors import PortTaken, Refused, TooLarge, status_of
from collector.intake import Intake
from collector.settings import CollectorSettings, read_tokens

OTLP_METHODS = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "otlp_traces",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "otlp_logs",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "otlp_metrics",
}
ALS_METHOD = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
HEALTH_CHECK, HEALTH_WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"

# grpc.health.v1.HealthCheckResponse: field 1, an enum.
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
_SERVICES = {b""} | {m.split("/")[1].encode() for m in (*OTLP_METHODS, ALS_METHOD)}

_HEADERS_MAX_BYTES = 64 << 10


class GrpcServer:
    """Built on the running event loop; ``start`` binds and serves."""

    def __init__(
        self, settings: CollectorSettings, intake: Intake, split_identifier: SplitIdentifier
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._split_identifier = split_identifier
        self._tokens = read_tokens(settings.token_file)
        self._streams: set[AlsStream] = set()
        self._stopping = asyncio.Event()
        # Two threads: bounds the memory that bodies take while they are being opened.
        self._openers = ThreadPoolExecutor(2, thread_name_prefix="inflate")
        self._server = grpc.aio.server(options=_options(settings))
        self._server.add_generic_rpc_handlers((_Router(self),))
        self.address = settings.grpc

    async def start(self) -> None:
        """Raises PortTaken."""
        host = self._settings.grpc.rpartition(":")[0]
        try:
            if self._settings.tls_cert is None:
                port = self._server.add_insecure_port(self._settings.grpc)
            else:
                port = self._server.add_secure_port(self._settings.grpc, _credentials(self._settings))
        except RuntimeError as error:
            raise PortTaken(
                f"The gRPC address {self._settings.grpc} cannot be listened on; another program holds it, "
                "or it is not an address of this machine."
            ) from error
        self.address = f"{host}:{port}"
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Take no new calls; let streams end with what they sent journalled; then close."""
        self._stopping.set()
        for stream in list(self._streams):
            stream.stop_reading()
        await self._server.stop(grace_s)
        self._openers.shutdown(wait=False)

    def handler_for(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = call.method
        if method == HEALTH_CHECK:
            return grpc.unary_unary_rpc_method_handler(self._check_health)
        if method == HEALTH_WATCH:
            return grpc.unary_stream_rpc_method_handler(self._watch_health)
        kind = "als" if method == ALS_METHOD else OTLP_METHODS.get(method)
        if kind is None:
            return None  # UNIMPLEMENTED
        try:
            header = next((v for k, v in call.invocation_metadata or () if k == "authorization"), None)
            check_authorization(header, self._tokens)
        except Refused as error:
            return self._turning_away(kind, error)
        if kind == "als":
            return grpc.stream_unary_rpc_method_handler(self._stream_access_logs)
        return grpc.unary_unary_rpc_method_handler(self._exporting(kind))

    def _exporting(self, kind: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def export(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
            try:
                answer = self._intake.offer(kind, await self._opened(body), peer_ip(context.peer()))
            except Refused as error:
                self._intake.turn_away(kind, error)
                return await _abort(context, error)
            try:
                return response_bytes(kind, await answer)
            except Refused as error:
                return await _abort(context, error)

        return export

    async def _opened(self, body: bytes) -> bytes:
        """The message without gzip or deflate. Raises TooLarge or Undecodable."""
        encoding = sniff(body)
        limit = self._settings.body_limit_bytes
        if encoding == "identity":
            if len(body) > limit:
                raise TooLarge(f"The message is larger than {limit} bytes; send less at a time.")
            return body
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._openers, inflate, body, encoding, limit)

    async def _stream_access_logs(self, _: object, context: grpc.aio.ServicerContext) -> bytes:
        if self._stopping.is_set():
            return b""
        stream = AlsStream(self._intake, self._opened, self._split_identifier, peer_ip(context.peer()))
        self._streams.add(stream)
        try:
            await stream.run(context)
        except Refused as error:
            return await _abort(context, error)
        finally:
            self._streams.discard(stream)
        return b""

    def _turning_away(self, kind: str, error: Refused) -> grpc.RpcMethodHandler:
        async def turn_away(_: object, context: grpc.aio.ServicerContext) -> bytes:
            self._intake.turn_away(kind, error)
            return await _abort(context, error)

        if kind == "als":
            return grpc.stream_unary_rpc_method_handler(turn_away)
        return grpc.unary_unary_rpc_method_handler(turn_away)

    async def _check_health(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if _service_of(request) not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "No such service here.")
        return _NOT_SERVING if self._stopping.is_set() else _SERVING

    async def _watch_health(self, request: bytes, context: grpc.aio.ServicerContext) -> None:
        known = _service_of(request) in _SERVICES
        await context.write(_SERVING if known else _SERVICE_UNKNOWN)
        await self._stopping.wait()
        await context.write(_NOT_SERVING if known else _SERVICE_UNKNOWN)


class _Router(grpc.GenericRpcHandler):
    def __init__(self, server: GrpcServer) -> None:
        self._server = server

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._server.handler_for(handler_call_details)


def peer_ip(peer: str) -> str | None:
    """``ipv4:10.0.0.7:4711`` or ``ipv6:%5Bfe80::1%5D:4711`` → the address alone; None for other kinds."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    return unquote(rest).rpartition(":")[0].strip("[]") or None


async def _abort(context: grpc.aio.ServicerContext, error: Refused) -> bytes:
    metadata = ((STATUS_DETAILS_KEY, status_bytes(error)),)
    await context.abort(status_of(error).grpc, str(error), trailing_metadata=metadata)
    raise AssertionError("abort returned")


def _service_of(request: bytes) -> bytes:
    """HealthCheckRequest.service: field 1, a string; anything else counts as an unknown service."""
    if not request:
        return b""
    if len(request) < 2 or request[0] != 0x0A or request[1] != len(request) - 2:
        return b"?"
    return request[2:]


def _credentials(settings: CollectorSettings) -> grpc.ServerCredentials:
    assert settings.tls_cert is not None
    assert settings.tls_key is not None
    authority = settings.client_ca.read_bytes() if settings.client_ca else None
    pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    return grpc.ssl_server_credentials(
        [pair], root_certificates=authority, require_client_auth=authority is not None
    )


def _options(settings: CollectorSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(settings.shares_ports)),
        ("grpc.max_receive_message_length", settings.body_limit_bytes),
        ("grpc.per_message_decompression", 0),
        ("grpc.max_metadata_size", _HEADERS_MAX_BYTES),
        ("grpc.max_concurrent_streams", 256),
        # Streams live for days: find peers that vanished, and bear clients that ping often.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
