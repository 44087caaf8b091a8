"""The one door: raw bodies → one decode thread → journal → answers.

Servers hand in request bodies on the event loop and await an answer. One thread decodes everything
that waits of one kind in one call and gives the batch to the journal; while that syncs, the next
group is decoded. What must stay true:

* an export is answered as taken only after the journal's sync (or when it holds nothing to store);
* no timer lies on the way: a group is whatever waits when the thread is free;
* everything that waits, in any stage, is counted in ``room`` and thereby bounded;
* every export is answered, also when a decoder has a defect.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

from collector.answers import TAKEN, Answer
from collector.decode.rejected import keep_refusals
from collector.decode.types import Decoded, Export
from collector.errors import (
    DecoderFailed,
    Draining,
    JournalFull,
    JournalWriteFailed,
    Overloaded,
    Refused,
    Undecodable,
    status_of,
)
from collector.metrics import Metrics
from collector.room import EXPORT_OVERHEAD_BYTES, Room
from store.frames import Batch, ExportMark

log = logging.getLogger(__name__)

Decoder = Callable[[list[Export]], Decoded]

GROUP_BYTES = 8 << 20
GROUP_BYTES_JSON = 1 << 20  # JSON is walked in Python; shorter groups let the others pass
GROUP_EXPORTS = 4096
GROUPS_IN_JOURNAL = 4  # decoded tables are larger than bodies: few of them wait for the disk


class Journal(Protocol):
    """What the door needs of ``JournalWriter``."""

    def append(self, batch: Batch) -> Future[int]: ...
    def is_full(self) -> bool: ...


@dataclass(eq=False)
class _Item:
    export: Export
    answer: asyncio.Future[Answer]
    size: int


@dataclass
class _Group:
    kind: str
    items: list[_Item]
    decoded: Decoded


class Intake:
    """Create it on the running event loop. ``decoders``: kind → decoder; kinds of JSON end in ``_json``."""

    def __init__(
        self,
        journal: Journal,
        decoders: Mapping[str, Decoder],
        metrics: Metrics,
        waiting_limit_bytes: int = 256 << 20,
    ) -> None:
        self.room = Room(waiting_limit_bytes)
        self.metrics = metrics
        self._journal = journal
        self._decoders = decoders
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, deque[_Item]] = {kind: deque() for kind in decoders}
        self._order: deque[str] = deque()  # kinds with something waiting, the longest waiting first
        self._wake = threading.Condition()
        self._slots = threading.Semaphore(GROUPS_IN_JOURNAL)
        self._draining = False
        self._ending = False
        self._open = 0  # exports without an answer yet
        self._defects: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)
        self._thread.start()

    # On the event loop.

    def offer(self, kind: str, body: bytes, peer: str | None) -> asyncio.Future[Answer]:
        """Take a body in, or raise Overloaded. The future raises a ``Refused`` error or gives the Answer."""
        self._check_open()
        self.room.take(len(body) + EXPORT_OVERHEAD_BYTES)
        return self._enter(kind, body, peer, None)

    async def offer_braked(
        self, kind: str, body: bytes, peer: str | None, identifier: bytes | None
    ) -> asyncio.Future[Answer]:
        """The same for senders that lose what is refused: waits for room. Raises Draining at the end."""
        size = len(body) + EXPORT_OVERHEAD_BYTES
        braked = False
        while self._journal.is_full() or not self.room.take_braked(size):
            if self._draining:
                raise Draining("The collector is shutting down.")
            if not braked:
                braked = True
                self.metrics.braked(kind)
            await self.room.change(0.2)
        return self._enter(kind, body, peer, identifier)

    def turn_away(self, kind: str, error: Refused) -> None:
        """Count an export that a server refused before it came in here."""
        self.metrics.received(source_of(kind), 0)
        self.metrics.refused(source_of(kind), status_of(error).reason)

    def close_door(self) -> None:
        """Refuse what comes from now on; streams may still hand in what they have read."""
        self._draining = True

    async def drain(self, timeout_s: float) -> bool:
        """Once the servers have stopped: wait for every answer that is due. True when all were given."""
        self._draining = True
        deadline = self._loop.time() + timeout_s
        while self._open and (left := deadline - self._loop.time()) > 0:
            await self.room.change(min(left, 0.2))
        with self._wake:
            self._ending = True
            self._wake.notify()
        return self._open == 0

    def _check_open(self) -> None:
        if self._draining:
            raise Draining("The collector is shutting down; try again.")
        if self._journal.is_full():
            raise JournalFull("The journal is full; try again later.")

    def _enter(
        self, kind: str, body: bytes, peer: str | None, identifier: bytes | None
    ) -> asyncio.Future[Answer]:
        export = Export(body, peer, time.time_ns() // 1000, identifier)
        item = _Item(export, self._loop.create_future(), len(body) + EXPORT_OVERHEAD_BYTES)
        self._open += 1
        self.metrics.received(source_of(kind), len(body))
        with self._wake:
            queue = self._waiting[kind]
            if not self._order:  # only then may the decode thread be asleep
                self._wake.notify()
            if not queue:
                self._order.append(kind)
            queue.append(item)
        return item.answer

    def _answer_group(self, group: _Group, written_bytes: int, error: BaseException | None) -> None:
        """Give every item of ``group`` that has no answer yet its own."""
        source = source_of(group.kind)
        failed = _as_refusal(error)
        if failed is None:
            self.metrics.journalled(source, written_bytes)
            self.metrics.accepted(source, group.decoded.accepted)
        for index, item in enumerate(group.items):
            if index in group.decoded.refused:
                continue  # told already, see _answer_refused
            if failed is not None:
                self._settle(group.kind, item, failed)
                continue
            count, message = group.decoded.rejected.get(index, (0, ""))
            if count:
                self.metrics.rejected(source, count)
            self._settle(group.kind, item, Answer(count, message) if count or message else TAKEN)

    def _answer_refused(self, group: _Group) -> None:
        for index, refusal in group.decoded.refused.items():
            error = Undecodable(refusal.message, refusal.offset)
            self._settle(group.kind, group.items[index], error)

    def _settle(self, kind: str, item: _Item, outcome: Answer | Refused) -> None:
        self._open -= 1
        self.room.give(item.size)
        if isinstance(outcome, Refused):
            self.metrics.refused(source_of(kind), status_of(outcome).reason)
        if item.answer.done():  # its sender went away
            return
        if isinstance(outcome, Refused):
            item.answer.set_exception(outcome)
        else:
            item.answer.set_result(outcome)

    # In the decode thread.

    def _run(self) -> None:
        while True:
            self._slots.acquire()
            taken = self._next_group()
            if taken is None:
                return
            kind, items = taken
            try:
                group = self._decode(kind, items)
            except BaseException as error:  # a Rust panic is no Exception
                self._slots.release()
                self._answer_defect(kind, items, error)
            else:
                self._hand_over(group)

    def _next_group(self) -> tuple[str, list[_Item]] | None:
        with self._wake:
            while not self._order:
                if self._ending:
                    return None
                self._wake.wait()
            kind = self._order.popleft()
            queue = self._waiting[kind]
            limit = GROUP_BYTES_JSON if kind.endswith("_json") else GROUP_BYTES
            items = [queue.popleft()]
            size = items[0].size
            while queue and size + queue[0].size <= limit and len(items) < GROUP_EXPORTS:
                size += queue[0].size
                items.append(queue.popleft())
            if queue:
                self._order.append(kind)
            return kind, items

    def _decode(self, kind: str, items: list[_Item]) -> _Group:
        exports = [item.export for item in items]
        decoded = self._decoders[kind](exports)
        keep_refusals(decoded, exports, source_of(kind))
        return _Group(kind, items, decoded)

    def _hand_over(self, group: _Group) -> None:
        """Refusals at once; the rest after the journal. Gives the slot back when the journal is done."""
        if group.decoded.refused:
            self._on_loop(self._answer_refused, group)
        if not any(table.num_rows for table in group.decoded.tables.values()):
            self._slots.release()
            self._on_loop(self._answer_group, group, 0, None)
            return
        marks = [
            ExportMark(digest_of(group.kind, item.export), item.export.received_us, source_of(group.kind))
            for item in group.items
        ]
        future = self._journal.append(Batch(marks, dict(group.decoded.tables)))
        future.add_done_callback(partial(self._journalled, group))

    def _answer_defect(self, kind: str, items: list[_Item], error: BaseException) -> None:
        """A decoder raised, which it must not: find the exports that make it, keep the others."""
        if len(items) > 1:
            for part in (items[: len(items) // 2], items[len(items) // 2 :]):
                try:
                    group = self._decode(kind, part)
                except BaseException as again:
                    self._answer_defect(kind, part, again)
                else:
                    self._slots.acquire()
                    self._hand_over(group)
            return
        told = f"{kind}: {type(error).__name__}"
        if told not in self._defects:  # once a kind of defect, however often it is sent
            self._defects.add(told)
            log.error("The decoder of %s has a defect", kind, exc_info=error)
        failed = DecoderFailed("These bytes met a defect of the collector; its log has the details.")
        self._on_loop(self._settle, kind, items[0], failed)

    # In the journal's thread.

    def _journalled(self, group: _Group, future: Future[int]) -> None:
        self._slots.release()
        error = future.exception()
        self._on_loop(self._answer_group, group, 0 if error else future.result(), error)

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call, *arguments)


def source_of(kind: str) -> str:
    """The source's name in marks and counters: 'otlp_traces' for both its forms."""
    return kind.removesuffix("_json")


def digest_of(kind: str, export: Export) -> str:
    """16 bytes of BLAKE2b over kind and body (and, for access log streams, who sent it), as hex."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(kind.encode() + b"\0")
    if export.identifier is not None:
        digest.update(_identifier_digest(export.identifier))
    digest.update(export.body)
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _identifier_digest(identifier: bytes) -> bytes:
    """Computed once a stream: it is the same object for all of its messages, and up to 64 KB large."""
    return hashlib.blake2b(identifier, digest_size=16).digest()


def _as_refusal(error: BaseException | None) -> Refused | None:
    if error is None or isinstance(error, Overloaded):
        return error
    log.error("A batch could not be written to the journal", exc_info=error)
    return JournalWriteFailed("The journal could not be written; try again later.")
