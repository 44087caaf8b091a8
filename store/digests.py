"""Which exports were delivered already, in 24 bytes each: sorted numbers, not a million Python strings.

What must stay true: an export is a repetition if the same digest was *kept* at most ``memory_s``
before or after it was received (imports: whenever), also where the clock jumped by an hour between.
Digests of unsealed journals are held apart, per journal, because only a seal makes them part of what
the catalogue remembers. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np

from store.frames import ExportMark

IMPORT_SOURCES = frozenset({"import"})

_CLOCK_JUMP_US = 3_600_000_000
"""A clock that is set anew, or a change of the time zone by someone who keeps local time, moves it by so much."""


class SortedDigests:
    """Digests that are sealed: two 64-bit halves and a moment each, sorted by the first half."""

    def __init__(self) -> None:
        self._high = np.empty(0, np.uint64)
        self._low = np.empty(0, np.uint64)
        self._received_us = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._high)

    def add(
        self, digests: Iterable[str], received_us: Iterable[int], *, forget_before_us: int | None
    ) -> None:
        high, low = _halves(digests)
        moments = np.fromiter(received_us, np.int64, len(high))
        high = np.concatenate([self._high, high])
        low = np.concatenate([self._low, low])
        moments = np.concatenate([self._received_us, moments])
        if forget_before_us is not None:
            kept = moments >= forget_before_us
            high, low, moments = high[kept], low[kept], moments[kept]
        order = np.argsort(high, kind="stable")
        self._high, self._low, self._received_us = high[order], low[order], moments[order]

    def nearest(self, digest: str, received_us: int) -> int | None:
        """Microseconds between ``received_us`` and the nearest delivery of ``digest``; None: never seen."""
        high, low = int(digest[:16], 16), int(digest[16:], 16)
        first = int(np.searchsorted(self._high, np.uint64(high), "left"))
        last = int(np.searchsorted(self._high, np.uint64(high), "right"))
        gaps = [
            abs(int(self._received_us[n]) - received_us)
            for n in range(first, last)
            if int(self._low[n]) == low
        ]
        return min(gaps, default=None)


class DeliveredBook:
    """All that is remembered: sealed digests, imports, and those of journals not sealed yet."""

    def __init__(self, memory_s: int) -> None:
        self._memory_us = memory_s * 1_000_000
        self._apart_us = self._memory_us + min(self._memory_us, _CLOCK_JUMP_US)
        self._sealed = SortedDigests()
        self._imports = SortedDigests()
        self._unsealed: dict[str, dict[str, ExportMark]] = {}
        self._lock = threading.RLock()

    def load_sealed(self, digests: list[str], received_us: list[int], *, imports: bool) -> None:
        (self._imports if imports else self._sealed).add(digests, received_us, forget_before_us=None)

    def is_repeated(self, mark: ExportMark) -> bool:
        with self._lock:
            return self._is_repeated(mark)

    def are_one_delivery(self, earlier: ExportMark, mark: ExportMark) -> bool:
        """Of two marks of the same digest: is the second a repetition of the first?"""
        return mark.source in IMPORT_SOURCES or abs(earlier.received_us - mark.received_us) <= self._apart_us

    def _is_repeated(self, mark: ExportMark) -> bool:
        if mark.source in IMPORT_SOURCES:
            return self.is_import_known(mark.digest)
        for marks in self._unsealed.values():
            earlier = marks.get(mark.digest)
            if earlier is not None and self.are_one_delivery(earlier, mark):
                return True
        gap = self._sealed.nearest(mark.digest, mark.received_us)
        return gap is not None and gap <= self._apart_us

    def is_import_known(self, digest: str) -> bool:
        with self._lock:
            held = (marks[digest] for marks in self._unsealed.values() if digest in marks)
            if any(mark.source in IMPORT_SOURCES for mark in held):
                return True
            return self._imports.nearest(digest, 0) is not None

    def keep(self, journal: str, marks: Iterable[ExportMark]) -> None:
        with self._lock:
            self._unsealed.setdefault(journal, {}).update((mark.digest, mark) for mark in marks)

    def kept_by(self, journal: str) -> list[ExportMark]:
        return list(self._unsealed.get(journal, {}).values())

    def forget_before_us(self, marks: Iterable[ExportMark]) -> int:
        """Before when a digest cannot matter any more once ``marks`` are sealed.

        By the journal's own moments, not the clock: after a long stop the journals of hours ago are loaded
        late, and a clock that was a year ahead for a moment must not make it forget ever after. Once more the
        memory than an export may be apart, because writers' journals are not sealed in the order of arrival.
        """
        newest = max((mark.received_us for mark in marks), default=0)
        return newest - self._apart_us - self._memory_us

    def mark_sealed(self, journal: str) -> None:
        """The catalogue holds the journal's digests now; forget what is too old to matter."""
        with self._lock:
            self._mark_sealed(journal)

    def _mark_sealed(self, journal: str) -> None:
        forget_before_us = self.forget_before_us(self.kept_by(journal))
        marks = list(self._unsealed.pop(journal, {}).values())
        live = [mark for mark in marks if mark.source not in IMPORT_SOURCES]
        lasting = [mark for mark in marks if mark.source in IMPORT_SOURCES]
        self._sealed.add(
            [mark.digest for mark in live],
            [mark.received_us for mark in live],
            forget_before_us=forget_before_us,
        )
        if lasting:
            self._imports.add(
                [mark.digest for mark in lasting],
                [mark.received_us for mark in lasting],
                forget_before_us=None,
            )


def _halves(digests: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    raw = np.frombuffer(bytes.fromhex("".join(digests)), ">u8").astype(np.uint64)
    return raw[0::2].copy(), raw[1::2].copy()
