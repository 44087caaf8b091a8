"""One Envoy access log stream, from its first message to its end.

What must stay true: the identifier comes in the first message only and is held for the stream's life;
order does not matter, loss does: a message that the journal could not take is offered again, and
while too much waits nothing is read (flow control is the only brake Envoy knows). What waits for the
disk per stream is bounded, so that one stream cannot fill the room alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import grpc.aio

from collector.answers import Answer
from collector.errors import Draining, Overloaded, Refused, TooLarge
from collector.intake import Intake

WINDOW_BYTES = 4 << 20
IDENTIFIER_MAX_BYTES = 1 << 20

# message → (identifier, None where it holds none)
SplitIdentifier = Callable[[bytes], bytes | None]


class AlsStream:
    def __init__(
        self,
        intake: Intake,
        opened: Callable[[bytes], Awaitable[bytes]],
        split_identifier: SplitIdentifier,
        peer: str | None,
    ) -> None:
        self._intake = intake
        self._opened = opened
        self._split_identifier = split_identifier
        self._peer = peer
        self._identifier: bytes | None = None
        self._due: deque[tuple[bytes, asyncio.Future[Answer]]] = deque()
        self._due_bytes = 0
        self._stopping = False
        self._reader: asyncio.Task[object] | None = None  # set only while it waits for a message

    async def run(self, context: grpc.aio.ServicerContext) -> None:
        """Until the stream ends or ``stop_reading``. Raises Refused for what is no access log."""
        failure: Refused | None = None
        try:
            while (message := await self._read(context)) is not None:
                await self._take(message)
        except Draining:
            pass
        except Refused as error:
            failure = error
        while self._due:
            try:
                await self._settle_oldest()
            except Refused as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def stop_reading(self) -> None:
        self._stopping = True
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self, context: grpc.aio.ServicerContext) -> bytes | None:
        if self._stopping:
            return None
        task = asyncio.current_task()
        assert task is not None
        self._reader = task
        try:
            message = await context.read()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            task.uncancel()
            return None
        finally:
            self._reader = None
        return None if message is grpc.aio.EOF else message

    async def _take(self, message: bytes) -> None:
        try:
            body = await self._opened(message)
            if (identifier := self._split_identifier(body)) is not None:
                if len(identifier) > IDENTIFIER_MAX_BYTES:
                    raise TooLarge(f"The stream's identifier is larger than {IDENTIFIER_MAX_BYTES} bytes.")
                self._identifier = identifier
        except Refused as error:
            self._intake.turn_away("als", error)
            raise
        await self._offer(body)
        while self._due and (self._due[0][1].done() or self._due_bytes > WINDOW_BYTES):
            await self._settle_oldest()

    async def _offer(self, body: bytes) -> None:
        answer = await self._intake.offer_braked("als", body, self._peer, self._identifier)
        self._due.append((body, answer))
        self._due_bytes += len(body)

    async def _settle_oldest(self) -> None:
        body, answer = self._due.popleft()
        self._due_bytes -= len(body)
        try:
            await answer
        except Overloaded as error:
            if self._stopping:
                return  # counted as refused; there is no time to offer it again
            await asyncio.sleep(error.retry_after_s)
            await self._offer(body)
