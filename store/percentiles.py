"""Percentiles of many groups of measurements at once, by counting. Pure: arrays in, arrays out.

What must stay true: of rows they are what `quantile_cont` says (linear between two neighbours), to the digit, however
many rows there are: one reading counts them by coarse bucket, a second keeps only those of the buckets in which a
percentile lies. Of buckets they are what the macro `quantile_of_buckets` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]
Doubles = npt.NDArray[np.float64]
Reading = Callable[[], Iterable[tuple[Ints, Ints]]]
"""Measurements in pieces: of each its cell (step * classes + class) and its duration in µs. May be read again."""

QUANTILES = np.array([0.5, 0.9, 0.95, 0.99])

_KEPT_ROWS = 4_000_000
"""Up to so many rows are kept between the two readings: 12 bytes each."""
_COUNTERS = 4_000_000
"""At most so many buckets are counted at a time, where coarser ones do as well: 8 bytes each."""
_MANTISSA = 23
_LONGEST = 37
"""Durations from 2^36 µs (19 hours) on share the last bucket."""
_BUCKET_US = np.array([1.02 ** (number + 0.5) for number in range(2300)])
"""The macro `bucket_duration_us`, by the C library's pow as there: numpy's may differ in the last digit."""


@dataclass(frozen=True)
class Groups:
    """In which groups the measurements of a class count: pairs, in the order of the groups; each group has one."""

    classes: int
    of_class: Ints
    group: Ints

    @property
    def count(self) -> int:
        return int(self.group[-1]) + 1 if len(self.group) else 0

    def sums(self, counts: npt.NDArray) -> npt.NDArray:
        """[step, class, bucket] → [step * groups + group, bucket]."""
        first = np.searchsorted(self.group, np.arange(self.count))
        summed = counts[:, self.of_class[first]]
        nth = np.arange(len(self.group)) - first[self.group]
        # Mostly a group has one class: what others have is added to a copy of it.
        for further in range(1, int(nth.max(initial=0)) + 1):
            pairs = np.flatnonzero(nth == further)
            summed[:, self.group[pairs]] += counts[:, self.of_class[pairs]]
        return summed.reshape(-1, counts.shape[2])

    def by_class(self) -> tuple[Ints, Ints, Ints]:
        """How many groups each class has, where they begin in the third, which are the groups."""
        order = np.argsort(self.of_class, kind="stable")
        many = np.bincount(self.of_class, minlength=self.classes)
        return many, np.cumsum(many) - many, self.group[order]


def of_rows(read: Reading, groups: Groups, steps: int) -> tuple[Ints, Doubles]:
    """How many measurements each group has in each step, and their `QUANTILES` in µs: [steps * groups] and
    [steps * groups, 4], meaningless where there are none."""
    at_a_time = max(1, _COUNTERS // (groups.classes * _width(_MANTISSA)))
    if at_a_time >= steps:
        return _of_steps(read, groups, steps)
    again = _read_once(read)
    told = []
    for since in range(0, steps, at_a_time):
        until = min(since + at_a_time, steps)
        told.append(
            _of_steps(_between(again, since * groups.classes, until * groups.classes), groups, until - since)
        )
    return np.concatenate([total for total, _ in told]), np.concatenate([values for _, values in told])


def _read_once(read: Reading) -> Reading:
    """The same, kept if it is little."""
    kept, rows = [], 0
    for piece in read():
        kept.append(piece)
        rows += len(piece[0])
        if rows > _KEPT_ROWS:
            return read
    return lambda: kept


def _between(read: Reading, since: int, until: int) -> Reading:
    """What lies in cells [since, until), counted from there."""

    def pieces() -> Iterator[tuple[Ints, Ints]]:
        for cell, duration_us in read():
            chosen = np.flatnonzero((cell >= since) & (cell < until))
            yield cell[chosen] - since, duration_us[chosen]

    return pieces


def _of_steps(read: Reading, groups: Groups, steps: int) -> tuple[Ints, Doubles]:
    """As `of_rows`, of as many steps as can be counted at a time."""
    cells = steps * groups.classes
    shift = _shift(cells)
    width = _width(shift)
    counts = np.zeros(cells * width, np.int64)
    kept: list[tuple[Ints, Ints]] | None = []
    waiting: list[Ints] = []
    rows = 0
    for cell, duration_us in read():
        bucket = _buckets(cell, duration_us, shift)
        waiting.append(bucket)
        rows += len(bucket)
        if kept is not None:
            kept.append((bucket, duration_us))
            kept = None if rows > _KEPT_ROWS else kept
        if kept is None:
            counts += _counted(waiting, len(counts))
    counts += _counted(waiting, len(counts))
    counted = counts.reshape(steps, groups.classes, width)
    lying = _Lying(groups.sums(counted))
    is_wanted = lying.wanted_of_classes(groups, steps)
    again = (
        kept
        if kept is not None
        else ((_buckets(cell, duration_us, shift), duration_us) for cell, duration_us in read())
    )
    bucket, duration_us = _picked(again, is_wanted)
    row_bucket, duration_us = _of_groups(bucket, duration_us, groups, width, lying)
    row_bucket, durations = _sorted(row_bucket, duration_us)
    row = np.arange(len(lying.total))[:, None]

    def at(bucket: Ints, rank: Ints) -> Doubles:
        """What lies at a rank of each row."""
        before = np.where(bucket > 0, lying.reached[row, np.maximum(bucket - 1, 0)], 0)
        place = np.searchsorted(row_bucket, row * width + bucket) + rank - before
        return np.where(lying.total[:, None] > 0, durations[np.minimum(place, len(durations) - 1)], np.nan)

    if not len(durations):
        return lying.total, np.full((len(lying.total), len(QUANTILES)), np.nan)
    low, high = at(lying.low_bucket, lying.low), at(lying.high_bucket, lying.high)
    return lying.total, lying.between(low, high)


def of_buckets(cell: Ints, bucket: Ints, rows: Ints, groups: Groups, steps: int) -> tuple[Ints, Doubles]:
    """The same of measurements counted by bucket of latency (the macro `latency_bucket`), within 1 %."""
    if not len(cell):
        none = np.zeros(steps * groups.count, np.int64)
        return none, np.full((len(none), len(QUANTILES)), np.nan)
    used = np.flatnonzero(np.bincount(bucket))
    place = np.zeros(used[-1] + 1, np.int64)
    place[used] = np.arange(len(used))
    step, slot = cell // groups.classes, cell.astype(np.int64) * len(used) + place[bucket]
    at_a_time = max(1, _COUNTERS // (groups.classes * len(used)))
    told = []
    for since in range(0, steps, at_a_time):
        until = min(since + at_a_time, steps)
        now = slice(None) if until - since == steps else (step >= since) & (step < until)
        size = (until - since) * groups.classes * len(used)
        counts = np.bincount(slot[now] - since * groups.classes * len(used), rows[now], size)
        lying = _Lying(groups.sums(counts.astype(np.int64).reshape(until - since, groups.classes, len(used))))
        low, high = _BUCKET_US[used][lying.low_bucket], _BUCKET_US[used][lying.high_bucket]
        told.append((lying.total, lying.between(low, high)))
    return np.concatenate([total for total, _ in told]), np.concatenate([values for _, values in told])


class _Lying:
    """Where the percentiles of groups lie, of which each row of ``counts`` tells the buckets: between which two ranks
    (`low`, `high`: from 0; `part` of the way), and in which buckets those are. Each [rows, 4]."""

    def __init__(self, counts: Ints) -> None:
        self.reached = np.cumsum(counts, axis=1)
        self.width = counts.shape[1]
        self.total = self.reached[:, -1]
        rank = np.maximum(self.total - 1, 0)[:, None] * QUANTILES
        self.low, self.high = np.floor(rank).astype(np.int64), np.ceil(rank).astype(np.int64)
        self.part = rank - self.low
        before = np.cumsum(self.total) - self.total
        one_after_another = (self.reached + before[:, None]).ravel()
        self.low_bucket = self._bucket(one_after_another, before, self.low)
        self.high_bucket = self._bucket(one_after_another, before, self.high)

    def _bucket(self, reached: Ints, before: Ints, rank: Ints) -> Ints:
        found = np.searchsorted(reached, before[:, None] + rank, side="right")
        # Nothing lies in an empty row; what is found lies in a later one.
        return np.where(self.total[:, None] > 0, found - np.arange(len(before))[:, None] * self.width, 0)

    def between(self, low: Doubles, high: Doubles) -> Doubles:
        """What lies there, as DuckDB reckons it."""
        return low * (1 - self.part) + high * self.part

    def is_wanted(self) -> npt.NDArray[np.bool_]:
        """[rows, bucket]: does a percentile lie there?"""
        wanted = np.zeros(self.reached.shape, bool)
        row = np.arange(len(wanted))[:, None]
        wanted[row, self.low_bucket] = True
        wanted[row, self.high_bucket] = True
        return wanted

    def wanted_of_classes(self, groups: Groups, steps: int) -> npt.NDArray[np.bool_]:
        """Buckets in which a percentile of any of a class' groups lies, in the order they were counted."""
        wanted = np.zeros((steps, groups.classes, self.width), bool)
        step = np.arange(steps)[:, None, None]
        for bucket in (self.low_bucket, self.high_bucket):
            of_group = bucket.reshape(steps, groups.count, len(QUANTILES))
            wanted[step, groups.of_class[None, :, None], of_group[:, groups.group, :]] = True
        return wanted.ravel()


def _counted(waiting: list[Ints], size: int) -> Ints:
    """How often each number below ``size`` stands in the arrays that wait, which then are none."""
    counts = np.bincount(np.concatenate(waiting) if waiting else np.empty(0, np.int64), minlength=size)
    waiting.clear()
    return counts


def _shift(cells: int) -> int:
    """How many bits of a duration's mantissa are left out: as few as there is room for."""
    for shift in range(_MANTISSA - 4, _MANTISSA):
        if cells * _width(shift) <= _COUNTERS:
            return shift
    return _MANTISSA


def _width(shift: int) -> int:
    return (_LONGEST << (_MANTISSA - shift)) + 1


def _buckets(cell: Ints, duration_us: Ints, shift: int) -> Ints:
    """Of each measurement cell * width + bucket; buckets are in the order of durations: the floating point number's
    exponent and some of its mantissa."""
    bits = np.maximum(duration_us, 0).astype(np.float32).view(np.int32) >> shift
    bits -= (127 << (_MANTISSA - shift)) - 1
    np.clip(bits, 0, _width(shift) - 1, out=bits)
    return cell * _width(shift) + bits


def _picked(pieces: Iterable[tuple[Ints, Ints]], is_wanted: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    buckets: list[Ints] = [np.empty(0, np.int64)]
    durations: list[Ints] = [np.empty(0, np.int64)]
    for bucket, duration_us in pieces:
        picked = np.flatnonzero(is_wanted[bucket])
        buckets.append(bucket[picked])
        durations.append(duration_us[picked])
    return np.concatenate(buckets), np.concatenate(durations)


def _of_groups(
    bucket: Ints, duration_us: Ints, groups: Groups, width: int, lying: _Lying
) -> tuple[Ints, Ints]:
    """Measurements once for each of their class' groups with a percentile in that bucket: row * width + bucket, and
    the duration."""
    cell, bucket = np.divmod(bucket, width)
    step, of_class = np.divmod(cell, groups.classes)
    many, first, group = groups.by_class()
    repeated = np.repeat(np.arange(len(cell)), many[of_class])
    nth = np.arange(len(repeated)) - np.repeat(np.cumsum(many[of_class]) - many[of_class], many[of_class])
    row = step[repeated] * groups.count + group[first[of_class[repeated]] + nth]
    row_bucket = row * width + bucket[repeated]
    wanted = np.flatnonzero(lying.is_wanted().ravel()[row_bucket])
    return row_bucket[wanted], duration_us[repeated[wanted]]


def _sorted(row_bucket: Ints, duration_us: Ints) -> tuple[Ints, Doubles]:
    """By bucket, then duration: as one number each, where there is room."""
    if not len(row_bucket):
        return row_bucket, duration_us.astype(np.float64)
    bits = int(duration_us.max()).bit_length()
    if duration_us.min() >= 0 and bits + int(row_bucket.max()).bit_length() < 63:
        both = np.sort(row_bucket.astype(np.int64) << bits | duration_us)
        return both >> bits, (both & ((1 << bits) - 1)).astype(np.float64)
    order = np.lexsort((duration_us, row_bucket))
    return row_bucket[order], duration_us[order].astype(np.float64)
