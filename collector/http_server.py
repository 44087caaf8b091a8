"""The HTTP port: OTLP as protobuf or JSON, and /healthz. A bare ASGI application under uvicorn.

What must stay true: an export is answered after the journal's sync, in the type it came in; no
request body grows past the body limit, compressed or not, stays longer than its time limit, or is
held without being counted in the intake's room. Whatever arrives, the answer is a status.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn

from collector.access import check_authorization
from collector.answers import Answer, response_bytes, response_json, status_bytes, status_json
from collector.compression import ENCODINGS, inflate
from collector.cors import PREFLIGHT, Origins
from collector.decode import limits
from collector.errors import Overloaded, PortTaken, Refused, TooLarge, TooSlow, UnknownForm, status_of
from collector.intake import Intake
from collector.quiet_server import QuietServer
from collector.settings import CollectorSettings, read_tokens, split_address

PATHS = {"/v1/traces": "otlp_traces", "/v1/logs": "otlp_logs", "/v1/metrics": "otlp_metrics"}
PROTOBUF, JSON = "application/x-protobuf", "application/json"

# Envoy loses an export when an idle connection is closed under it, so they are kept for an hour.
_KEEP_ALIVE_S = 3660
_ALREADY_SENT_S = 0.1
_DISCARD_S = 5

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Disconnected(Exception):
    pass


class HttpApplication:
    """ASGI: one call per request."""

    def __init__(self, settings: CollectorSettings, intake: Intake) -> None:
        self._limit = settings.body_limit_bytes
        self._timeout_s = settings.body_timeout_s
        self._intake = intake
        self._tokens = read_tokens(settings.token_file)
        self._origins = Origins(settings.cors_origins)
        self._openers = ThreadPoolExecutor(2, thread_name_prefix="inflate-http")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path in PATHS:
            origin = dict(scope["headers"]).get(b"origin")
            send = self._origins.telling(origin, send)
            if scope["method"] == "POST":
                await self._export(PATHS[path], scope, receive, send)
            elif scope["method"] == "OPTIONS" and self._origins.allows(origin):
                await send({"type": "http.response.start", "status": 204, "headers": PREFLIGHT})
                await send({"type": "http.response.body"})
            else:
                await _reply(send, 405, "text/plain", b"Use POST.\n", [(b"allow", b"POST")])
        elif path == "/healthz":
            await _reply(send, 200, "text/plain", b"ok\n")
        else:
            message = f"There is no such path here; OTLP goes to {', '.join(PATHS)}.\n"
            await _reply(send, 404, "text/plain", message.encode())

    async def _export(self, kind: str, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = _Headers(scope["headers"])
        as_json = headers.content_type == JSON
        if as_json:
            kind += "_json"
        reader = _Body(receive)
        try:
            try:
                check_authorization(headers.get(b"authorization"), self._tokens)
                _check_form(headers)
                limit = min(self._limit, limits.JSON_BYTES) if as_json else self._limit
                body = await self._body(headers, reader, limit)
                peer = scope["client"][0] if scope.get("client") else None
                answer = self._intake.offer(kind, body, peer)
            except Refused as error:
                self._intake.turn_away(kind, error)
                if not isinstance(error, TooSlow):
                    await reader.discard(2 * self._limit, _ALREADY_SENT_S)
                raise
            await _reply_taken(send, kind, as_json, await answer)
        except Refused as error:
            await self._refuse(send, reader, error, as_json)
        except Disconnected:
            return

    async def _refuse(self, send: Send, reader: _Body, error: Refused, as_json: bool) -> None:
        """Tell the sender at once; while it still sends, close only when it is done or takes too long."""
        is_sending = not reader.at_end
        await _reply_refused(send, error, as_json, is_sending)
        if is_sending:
            if not isinstance(error, TooSlow):
                with contextlib.suppress(Disconnected):
                    await reader.discard(2 * self._limit, _DISCARD_S)
            await send({"type": "http.response.body"})

    async def _body(self, headers: _Headers, reader: _Body, limit: int) -> bytes:
        """The whole body without its compression. While it grows it has its place in the room."""
        if headers.content_length > limit:
            raise _too_large(limit)
        with self._room_for_body() as take:
            body = await self._received(reader, take, limit)
            if headers.encoding in ("", "identity"):
                return body
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._openers, inflate, body, headers.encoding, limit)

    async def _received(self, reader: _Body, take: Callable[[int], None], limit: int) -> bytes:
        pieces: list[bytes] = []
        total = 0
        try:
            async with asyncio.timeout(self._timeout_s):
                while not reader.at_end:
                    piece = await reader.next()
                    total += len(piece)
                    if total > limit:
                        raise _too_large(limit)
                    take(len(piece))
                    pieces.append(piece)
        except TimeoutError as error:
            raise TooSlow(f"The body did not arrive within {self._timeout_s:g} seconds.") from error
        return b"".join(pieces)

    @contextlib.contextmanager
    def _room_for_body(self) -> Iterator[Callable[[int], None]]:
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            self._intake.room.take(size)
            taken += size

        try:
            yield take
        finally:
            self._intake.room.give(taken)


class _Body:
    """A request's body, piece by piece."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.at_end = False

    async def next(self) -> bytes:
        """Raises Disconnected."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        self.at_end = not message.get("more_body")
        return message.get("body", b"")

    async def discard(self, limit: int, seconds: float) -> None:
        """Read on without keeping anything, within bounds.

        A sender that is still sending when we close sees a reset instead of the status, and tries
        the same body again and again.
        """
        left = limit
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.at_end and left > 0:
                    left -= len(await self.next())


class _Headers:
    """What we read of a request's headers; names are lower case already (ASGI)."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = dict(raw)
        self.content_type = self._text(b"content-type").partition(";")[0].strip().lower()
        self.encoding = self._text(b"content-encoding").strip().lower()
        length = self._text(b"content-length").strip()
        self.content_length = int(length) if length.isascii() and length.isdigit() else 0

    def get(self, name: bytes) -> bytes | None:
        return self._raw.get(name)

    def _text(self, name: bytes) -> str:
        return self._raw.get(name, b"").decode("latin-1")


class HttpServer:
    """uvicorn on a socket of ours, in the caller's event loop, without its signal handlers."""

    def __init__(self, settings: CollectorSettings, intake: Intake) -> None:
        self._settings = settings
        config = uvicorn.Config(
            HttpApplication(settings, intake),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
            backlog=1024,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            ssl_ca_certs=str(settings.client_ca) if settings.client_ca else None,
            ssl_cert_reqs=ssl.CERT_REQUIRED if settings.client_ca else ssl.CERT_NONE,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None
        self.address = settings.http

    async def start(self) -> None:
        """Raises PortTaken."""
        listener = _listener(self._settings)
        host = self._settings.http.rpartition(":")[0]
        self.address = f"{host}:{listener.getsockname()[1]}"
        self._task = asyncio.create_task(self._server.serve([listener]))
        await self._server.listening.wait()

    async def stop(self) -> None:
        """Take no new requests, answer those begun, at most a second."""
        self._server.leave()
        if self._task is not None:
            await self._task


class _Server(QuietServer):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the process' business, see collector/main.py


def _listener(settings: CollectorSettings) -> socket.socket:
    host, port = split_address(settings.http)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.shares_ports:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(target)
    except OSError as error:
        raise PortTaken(
            f"The HTTP address {settings.http} cannot be listened on: {error.strerror}."
        ) from error
    return listener


def _check_form(headers: _Headers) -> None:
    if headers.content_type not in (PROTOBUF, JSON):
        raise UnknownForm(
            f"Content type {headers.content_type[:80]!r} is not known here; use {PROTOBUF} or {JSON}."
        )
    if headers.encoding not in ("", "x-gzip", *ENCODINGS):
        known = ", ".join(ENCODINGS)
        raise UnknownForm(f"Content encoding {headers.encoding[:40]!r} is not known here; use {known}.")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes; send less at a time.")


async def _reply_taken(send: Send, kind: str, as_json: bool, answer: Answer) -> None:
    body = response_json(kind, answer) if as_json else response_bytes(kind, answer)
    await _reply(send, 200, JSON if as_json else PROTOBUF, body)


async def _reply_refused(send: Send, error: Refused, as_json: bool, is_sending: bool) -> None:
    """``is_sending``: the rest of the body is still to come; the caller ends the response, and the connection."""
    extra: list[tuple[bytes, bytes]] = []
    if isinstance(error, Overloaded):
        extra.append((b"retry-after", str(error.retry_after_s).encode()))
    if status_of(error).http == 401:
        extra.append((b"www-authenticate", b"Bearer"))
    if is_sending:
        extra.append((b"connection", b"close"))
    as_json = as_json or isinstance(error, UnknownForm)
    body = status_json(error) if as_json else status_bytes(error)
    await _reply(send, status_of(error).http, JSON if as_json else PROTOBUF, body, extra, more=is_sending)


async def _reply(
    send: Send,
    status: int,
    content_type: str,
    body: bytes,
    extra: list[tuple[bytes, bytes]] | None = None,
    more: bool = False,
) -> None:
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        *(extra or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": more})
