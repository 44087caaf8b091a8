"""The applications: one per pod, all in one process, each with its own address, tracer and behaviour.

What must stay true: a request is counted as received before anything can go wrong with it, and its number
decides what does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import grpc
import grpc.aio
from aiohttp import web
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from sidelight.mesh.calls import CALLER_HEADER, VERSION_HEADER, Caller, grpc_name
from sidelight.mesh.counts import Counts, ServerKey
from sidelight.mesh.http_filters import NUMBER_HEADER
from sidelight.mesh.plan import Plan, Pod
from sidelight.mesh.service_rules import number_ends_with
from sidelight.mesh.tokens import Tokens
from sidelight.mesh.topology import Answer, Service

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
_IDLE_SECONDS = 3600.0


class App:
    """What runs in one pod beside its sidecar."""

    def __init__(self, plan: Plan, pod: Pod, counts: Counts, tracer: Tracer, tokens: Tokens) -> None:
        assert pod.workload is not None
        self.pod = pod
        self.in_flight = 0
        self._workload = pod.workload
        self._service = plan.service_of(pod)
        self._gateway = plan.gateway.workload_name
        self._counts = counts
        self._tracer = tracer
        self._caller = Caller(plan, pod, counts, tracer, tokens)
        self._seen: Counter[int] = Counter()
        self._own_numbers = count(1)
        self._closers: list[Callable[[], Awaitable[Any]]] = []

    async def open(self) -> None:
        """Listens at the pod's address; a workload that serves nothing only gets ready to call."""
        await self._caller.open()
        if self._service is None:
            return
        serve = {"http": self._serve_http, "grpc": self._serve_grpc, "tcp": self._serve_tcp}
        await serve[self._service.protocol](self._service)

    async def close(self) -> None:
        await self._caller.close()
        for close in self._closers:
            await close()

    async def start(self, number: int) -> None:
        """The calls a workload without a service makes by itself."""
        self.in_flight += 1
        try:
            with self._tracer.start_as_current_span("run", kind=SpanKind.INTERNAL):
                await self._make_calls(number, {})
        finally:
            self.in_flight -= 1

    async def _make_calls(self, number: int, forwarded: dict[str, str]) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        for call in self._workload.calls:
            results += await self._caller.make(call, number, forwarded)
        return results

    def _received(self, service: Service, caller: str) -> ServerKey:
        pod = self.pod
        key = ServerKey(pod.namespace, pod.workload_name, pod.version, service.protocol, caller)
        self._counts.server[key] += 1
        return key

    def _rules(self, number: int, method: str | None = None) -> list[Answer]:
        """The rules that this request meets; `every` counts the requests that otherwise fit."""
        met = []
        for index, rule in enumerate(self._workload.answers):
            if not number_ends_with(number, rule.ends_with) or rule.method not in (None, method):
                continue
            self._seen[index] += 1
            if rule.every is None or self._seen[index] % rule.every == 0:
                met.append(rule)
        return met

    def _number(self, headers: Mapping[str, str]) -> int:
        """The request's number; a visitor's request, which has none, gets one of its own."""
        text = headers.get(NUMBER_HEADER, "")
        return int(text) if text.isdecimal() and len(text) < 19 else next(self._own_numbers)

    # HTTP

    async def _serve_http(self, service: Service) -> None:
        server = web.Server(self._handle_http, access_log=None, keepalive_timeout=_IDLE_SECONDS)
        runner = web.ServerRunner(server)
        await runner.setup()
        await web.TCPSite(runner, self.pod.ip, service.app_port, shutdown_timeout=1).start()
        self._closers.append(runner.cleanup)

    async def _handle_http(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._service is not None
        self.in_flight += 1
        key = self._received(self._service, request.headers.get(CALLER_HEADER, self._gateway))
        attributes = {"http.request.method": request.method, "url.path": request.path, "url.scheme": "http"}
        try:
            with self._tracer.start_as_current_span(
                f"{request.method} /{self._service.name}",
                context=extract(request.headers),
                kind=SpanKind.SERVER,
                attributes=attributes,
            ) as span:
                status, calls = await self._answer_http(self._number(request.headers), request.headers)
                body = {"workload": self.pod.workload_name, "version": self.pod.version, "calls": calls}
                if status == 200 and request.headers.get("upgrade", "").lower() == "websocket":
                    span.set_attribute("http.response.status_code", 101)
                    return await _converse(request, body)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    self._counts.server_errors[key] += 1
                    span.set_status(StatusCode.ERROR)
        finally:
            self.in_flight -= 1
        return web.json_response(body, status=status, headers={VERSION_HEADER: self.pod.version or ""})

    async def _answer_http(self, number: int, headers: Mapping[str, str]) -> tuple[int, list[dict[str, Any]]]:
        rules = self._rules(number)
        await asyncio.sleep(sum(rule.delay_ms for rule in rules) / 1000)
        for rule in rules:
            if rule.status is not None:
                return rule.status, []
        return 200, await self._make_calls(number, _forwarded(headers))

    # gRPC

    async def _serve_grpc(self, service: Service) -> None:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(self._grpc_handler(service, method))
            for method in service.methods
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(grpc_name(service), handlers),))
        server.add_insecure_port(f"{self.pod.ip}:{service.app_port}")
        await server.start()
        self._closers.append(lambda: server.stop(0.5))

    def _grpc_handler(self, service: Service, method: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def handle(request: bytes, context: Any) -> bytes:
            headers = {str(name): str(value) for name, value in context.invocation_metadata() or ()}
            self.in_flight += 1
            key = self._received(service, headers.get(CALLER_HEADER, self._gateway))
            try:
                with self._tracer.start_as_current_span(
                    f"{grpc_name(service)}/{method}",
                    context=extract(headers),
                    kind=SpanKind.SERVER,
                    attributes={
                        "rpc.system": "grpc",
                        "rpc.service": grpc_name(service),
                        "rpc.method": method,
                    },
                ) as span:
                    status = await self._answer_grpc(self._number(headers), method, headers, span)
            finally:
                self.in_flight -= 1
            version = ((VERSION_HEADER, self.pod.version or ""),)
            if status:
                self._counts.server_errors[key] += 1
                await context.abort(_GRPC_CODES[status], "as the topology says", version)
            context.set_trailing_metadata(version)
            return request

        return handle

    async def _answer_grpc(self, number: int, method: str, headers: dict[str, str], span: Span) -> int:
        rules = self._rules(number, method)
        await asyncio.sleep(sum(rule.delay_ms for rule in rules) / 1000)
        status = next((rule.grpc_status for rule in rules if rule.grpc_status is not None), 0)
        if not status:
            await self._make_calls(number, _forwarded(headers))
        span.set_attribute("rpc.grpc.status_code", status)
        if status:
            span.set_status(StatusCode.ERROR)
        return status

    # TCP

    async def _serve_tcp(self, service: Service) -> None:
        server = await asyncio.start_server(self._handle_tcp, self.pod.ip, service.app_port)
        self._closers.append(_closing(server))

    async def _handle_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._service is not None
        self.in_flight += 1
        try:
            question = (await reader.readline()).decode(errors="replace").split()
            if not question and self._service.rules.denials:
                return  # The sidecar connects at once, and refuses by the first byte: nothing was received.
            self._received(self._service, question[2] if len(question) > 2 else "unknown")
            writer.write(f"stars 5 from {self.pod.workload_name} {self.pod.version}\n".encode())
            await writer.drain()
            await reader.read()
        except OSError as error:
            self._counts.surprise(f"{self.pod.name}: {error!r}")
        finally:
            self.in_flight -= 1
            writer.close()


async def _converse(request: web.BaseRequest, body: dict[str, Any]) -> web.WebSocketResponse:
    """Answers every message with the body that a plain request gets, until the caller hangs up."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for _ in socket:
        await socket.send_json(body)
    return socket


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """What an application must hand on besides the trace context: the request id joins a request's log
    lines."""
    request_id = headers.get("x-request-id")
    return {"x-request-id": request_id} if request_id else {}


def _closing(server: asyncio.Server) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        server.close()

    return close
