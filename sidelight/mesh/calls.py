"""The calls an application makes: HTTP, gRPC and TCP, through its own sidecar or, without one, to a pod
directly.

What must stay true: every call is counted once, by what came back. An answer names its version, also where
the version's sidecar gave it (a denial); what the caller's own Envoy answers (an abort, an open circuit)
names none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Any, NamedTuple

import aiohttp
import grpc
import grpc.aio
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from sidelight.mesh.counts import GONE, ClientKey, Counts
from sidelight.mesh.http_filters import NUMBER_HEADER
from sidelight.mesh.listeners import SIDECAR_HEADER, SPLIT_HEADER
from sidelight.mesh.plan import Plan, Pod
from sidelight.mesh.relay import Relay
from sidelight.mesh.service_rules import number_ends_with
from sidelight.mesh.tokens import Tokens
from sidelight.mesh.topology import OUTBOUND_PORT, Call, Service

CALLER_HEADER = "x-mesh-caller"
VERSION_HEADER = "x-mesh-version"
PATIENCE_SECONDS = 120


def split_value(number: int) -> int:
    """What Envoy's weighted clusters choose by: every hundred requests meet each percent once, and requests
    whose numbers end alike do not all meet the same version."""
    return (37 * (number % 100) + 61 * (number // 100)) % 100


def request_headers(number: int) -> dict[str, str]:
    return {NUMBER_HEADER: str(number), SPLIT_HEADER: str(split_value(number))}


class Answerer(NamedTuple):
    """The version that answered, null: none did; `denied`: its sidecar did, its application did not."""

    version: str | None
    denied: bool


NOBODY = Answerer(None, False)


def answerer_of(headers: Mapping[str, str]) -> Answerer:
    version, sidecar = headers.get(VERSION_HEADER), headers.get(SIDECAR_HEADER)
    return Answerer(version or sidecar, version is None and sidecar is not None)


class Caller:
    """One pod's outgoing calls. `open` before the first call, `close` at the end."""

    def __init__(self, plan: Plan, pod: Pod, counts: Counts, tracer: Tracer, tokens: Tokens) -> None:
        self._plan = plan
        self._pod = pod
        self._counts = counts
        self._tracer = tracer
        self._tokens = tokens
        self._turn = count()
        self._session: aiohttp.ClientSession | None = None
        self._relay = Relay(pod.ip, OUTBOUND_PORT)
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(local_addr=(self._pod.ip, 0), limit=0)
        patience = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        agent = {"User-Agent": f"{self._pod.app}/1.0"}
        self._session = aiohttp.ClientSession(connector=connector, timeout=patience, headers=agent)
        called = self._plan.topology.called_by(self._pod.workload) if self._pod.workload else []
        for service in called:
            if service.protocol == "grpc":
                self._channels[service.name] = await self._channel(service)

    async def _channel(self, service: Service) -> grpc.aio.Channel:
        # gRPC for Python cannot choose its source address, so a relay does: the sidecar must see its own pod.
        port = await self._relay.open()
        options = [
            ("grpc.default_authority", f"{service.name}:{service.port}"),
            ("grpc.enable_http_proxy", 0),
        ]
        return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        await self._relay.close()
        if self._session:
            await self._session.close()

    async def make(self, call: Call, number: int, headers: dict[str, str]) -> list[dict[str, Any]]:
        """Makes a call, or its burst; returns what came back of each, for the answer's body."""
        if not number_ends_with(number, call.ends_with):
            return []
        service = self._plan.topology.services[call.service]
        if service.protocol == "grpc":
            headers = headers | self._token(call, service, number)
            return await asyncio.gather(*(self._grpc(service, number, headers) for _ in range(call.times)))
        if service.protocol == "tcp":
            return await asyncio.gather(*(self._tcp(service, number) for _ in range(call.times)))
        headers = headers | self._token(call, service, number)
        return await asyncio.gather(*(self._http(service, call, number, headers) for _ in range(call.times)))

    def _token(self, call: Call, service: Service, number: int) -> dict[str, str]:
        if not service.rules.jwt or (call.without_token and number_ends_with(number, call.without_token)):
            return {}
        late = call.expired_token and number_ends_with(number, call.expired_token)
        return {"authorization": f"Bearer {self._tokens.expired if late else self._tokens.good}"}

    def _headers(self, number: int, forwarded: dict[str, str]) -> dict[str, str]:
        headers = {**forwarded, **request_headers(number), CALLER_HEADER: self._pod.workload_name}
        inject(headers)
        return headers

    def _address(self, service: Service) -> tuple[str, int]:
        if self._pod.sidecar:
            return self._pod.ip, OUTBOUND_PORT
        pods = self._plan.endpoints(service)
        return pods[next(self._turn) % len(pods)].ip, service.port

    async def _http(
        self, service: Service, call: Call, number: int, forwarded: dict[str, str]
    ) -> dict[str, Any]:
        impatient = call.give_up and number_ends_with(number, call.give_up.ends_with)
        seconds = call.give_up.after_ms / 1000 if call.give_up and impatient else None
        ip, port = self._address(service)
        path = f"/{service.name}/{number}"
        authority = f"{service.name}:{service.port}"
        attributes: dict[str, str | int] = {
            "http.request.method": "GET",
            "url.full": f"http://{authority}{path}",
            "server.address": service.name,
            "server.port": service.port,
        }
        with self._tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=attributes) as span:
            headers = self._headers(number, forwarded) | {"Host": authority}
            answerer, code, url = NOBODY, GONE, f"http://{ip}:{port}{path}"
            try:
                async with asyncio.timeout(seconds):
                    answerer, code = await (self._converse if call.websocket else self._get)(url, headers)
            except TimeoutError:
                _failed(span, "gave up waiting")
                if seconds is None:
                    self._counts.surprise(f"{self._pod.name} → {authority}{path}: no answer")
            except (aiohttp.ClientError, TypeError) as error:
                _failed(span, str(error))
                self._counts.surprise(f"{self._pod.name} → {authority}{path}: {error!r}")
            else:
                span.set_attribute("http.response.status_code", int(code))
                if int(code) >= 400:
                    _failed(span, code)
        return self._count(service, answerer, code)

    async def _get(self, url: str, headers: dict[str, str]) -> tuple[Answerer, str]:
        assert self._session is not None
        async with self._session.get(url, headers=headers) as response:
            await response.read()
            return answerer_of(response.headers), str(response.status)

    async def _converse(self, url: str, headers: dict[str, str]) -> tuple[Answerer, str]:
        """One question over a websocket; TypeError if what comes back is no answer."""
        assert self._session is not None
        try:
            async with self._session.ws_connect(url, headers=headers) as socket:
                await socket.send_str("who is there?")
                answer = await socket.receive_json(timeout=PATIENCE_SECONDS)
        except aiohttp.WSServerHandshakeError as refused:
            return answerer_of(refused.headers or {}), str(refused.status)
        return Answerer(answer["version"], False), "101"

    async def _grpc(self, service: Service, number: int, forwarded: dict[str, str]) -> dict[str, Any]:
        method = service.methods[number % len(service.methods)]
        name = grpc_name(service)
        attributes: dict[str, str | int] = {
            "rpc.system": "grpc",
            "rpc.service": name,
            "rpc.method": method,
            "server.address": service.name,
            "server.port": service.port,
        }
        kind = SpanKind.CLIENT
        with self._tracer.start_as_current_span(f"{name}/{method}", kind=kind, attributes=attributes) as span:
            call = self._channels[service.name].unary_unary(f"/{name}/{method}")(
                str(number).encode(),
                metadata=tuple(self._headers(number, forwarded).items()),
                timeout=PATIENCE_SECONDS,
            )
            code = await call.code()
            metadata = {str(name): str(value) for name, value in await call.trailing_metadata() or ()}
            status = int(code.value[0])
            span.set_attribute("rpc.grpc.status_code", status)
            if status:
                _failed(span, code.name)
        return self._count(service, answerer_of(metadata), "200", str(status))

    async def _tcp(self, service: Service, number: int) -> dict[str, Any]:
        """One connection, one question, one answer: closed at once, so that it is logged at once."""
        attributes: dict[str, str | int] = {
            "db.system.name": service.name,
            "server.address": service.name,
            "server.port": service.port,
        }
        sent, got, answerer = b"", b"", NOBODY
        with self._tracer.start_as_current_span("find", kind=SpanKind.CLIENT, attributes=attributes) as span:
            try:
                reader, writer = await asyncio.open_connection(
                    self._pod.ip, service.port, local_addr=(self._pod.ip, 0)
                )
                sent = f"find {number} {self._pod.workload_name}\n".encode()
                writer.write(sent)
                got = await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)
                writer.close()
                await writer.wait_closed()
                answerer = Answerer(got.decode().split()[-1], False) if got else self._who_shut(service)
            except (OSError, TimeoutError) as error:
                _failed(span, str(error))
                self._counts.surprise(f"{self._pod.name} → {service.host}: {error!r}")
        key = self._key(service, answerer, GONE, None)
        self._counts.bytes_sent[key] += len(sent)
        self._counts.bytes_received[key] += len(got)
        return self._count(service, answerer, GONE)

    def _who_shut(self, service: Service) -> Answerer:
        """Who took a connection and shut it without a word: where callers are refused, the sidecar of the one
        version there is (topologies with more are refused)."""
        versions = [pod.version for pod in self._plan.endpoints(service)]
        return Answerer(versions[0], True) if service.rules.denials else NOBODY

    def _key(self, service: Service, answerer: Answerer, code: str, status: str | None) -> ClientKey:
        caller, called = (self._pod.namespace, self._pod.workload_name), (service.host, service.protocol)
        return ClientKey(*caller, *called, answerer.version, code, status, answerer.denied)

    def _count(
        self, service: Service, answerer: Answerer, code: str, status: str | None = None
    ) -> dict[str, Any]:
        self._counts.client[self._key(service, answerer, code, status)] += 1
        return {"service": service.name, "version": answerer.version, "code": code, "grpc_status": status}


def grpc_name(service: Service) -> str:
    """The gRPC service's full name: `bookinfo.Details` style, from the mesh's names."""
    return f"{service.namespace}.{service.name.capitalize()}"


def _failed(span: Span, why: str) -> None:
    span.set_status(StatusCode.ERROR, why)
