"""Sums of facts (the counts of `edge_facts` and `metric_facts`): what became of requests, how long they took.

Pure: columns in, numbers out. What must stay true: a number that cannot be known is None, never 0; sums are exact,
beyond 64 bits too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.integer]

_DENSE = 1 << 20
"""Up to so many possible pairs of a row and a value, all of them are looked at; of more, those that are get sorted."""


class Latency(NamedTuple):
    """Percentiles of a step: 'latency' of an edge, view and leg, or 'node' of a called node and view. ``signal``:
    'rollup' or 'metric' where they are not of rows."""

    fact: str
    bucket: int
    edge_no: int | None
    target_no: int
    view: str
    leg: str | None
    signal: str | None
    quantiles_us: list[float]


@dataclass(slots=True)
class Outcomes:
    """What became of some requests."""

    requests: int = 0
    errors: int = 0
    client_gone: int = 0
    unknown: int = 0

    def join(self, other: Outcomes) -> None:
        self.requests += other.requests
        self.errors += other.errors
        self.client_gone += other.client_gone
        self.unknown += other.unknown

    @property
    def success_rate(self) -> float | None:
        """1 - errors / (requests - client_gone - unknown)."""
        judged = self.requests - self.client_gone - self.unknown
        return 1 - self.errors / judged if judged else None


@dataclass(slots=True)
class Tally(Outcomes):
    """Sums over the facts of one view of one edge or step. Made by `tallies`."""

    attempts: int | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    codes: dict[str, int] = field(default_factory=dict)
    grpc_codes: dict[str, int] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    # By leg ('out': the caller's own rows, 'in': the called side's): summed durations, rows that had one.
    duration_us: dict[str, int] = field(default_factory=dict)
    timed: dict[str, int] = field(default_factory=dict)
    legs: dict[str, int] = field(default_factory=dict)
    signals: dict[str, int] = field(default_factory=dict)

    @property
    def best_leg(self) -> str:
        """Whose durations to show: the caller's own, where there are any."""
        return "out" if self.timed.get("out") else "in"

    @property
    def avg_ms(self) -> float | None:
        timed = self.timed.get(self.best_leg)
        return self.duration_us[self.best_leg] / timed / 1000 if timed else None


def quantiles_ms(quantiles_us: list[float] | None) -> dict[str, float | None]:
    """[p50, p90, p95, p99] in µs → names with milliseconds."""
    if not quantiles_us:
        return {"p50_ms": None, "p90_ms": None, "p95_ms": None, "p99_ms": None}
    p50, p90, p95, p99 = quantiles_us
    return {"p50_ms": p50 / 1000, "p90_ms": p90 / 1000, "p95_ms": p95 / 1000, "p99_ms": p99 / 1000}


def tallies(counts: pa.Table, row: Ints, rows: int) -> list[Tally]:
    """``rows`` of them; each fact of ``counts`` is added to the one that ``row`` gives."""
    requests = numbers(counts["requests"])
    outcome = codes_of(counts["outcome"])
    made = [
        Tally(*told)
        for told in zip(
            _sums(row, requests, rows),
            *(
                _sums(row, requests * outcome.is_any(name), rows)
                for name in ("error", "client_gone", "unknown")
            ),
            _sums(row, numbers(counts["attempts"]), rows, numbers(counts["attempts_known"]) > 0),
            _sums(row, numbers(counts["request_bytes"]), rows, _known(counts["request_bytes"])),
            _sums(row, numbers(counts["response_bytes"]), rows, _known(counts["response_bytes"])),
            strict=True,
        )
    ]
    code, leg = codes_of(counts["status_code"]), codes_of(counts["leg"])
    has_code = ~code.is_any(None) & ~codes_of(counts["protocol"]).is_any("tcp")
    for at, name, total in sums_by(row, code, requests, has_code):
        made[at].codes[str(name)] = total
    grpc = codes_of(counts["grpc_status"])
    for at, name, total in sums_by(row, grpc, requests, ~grpc.is_any(None)):
        made[at].grpc_codes[str(name)] = total
    flags = codes_of(counts["response_flags"])
    for at, name, total in sums_by(row, flags, requests, ~flags.is_any(None, "", "-")):
        found = made[at].flags
        for flag in name.split(","):
            if flag and flag != "-":
                found[flag] = found.get(flag, 0) + total
    for at, name, total in sums_by(row, leg, requests):
        made[at].legs[name] = total
    for at, name, total in sums_by(row, codes_of(counts["signal"]), requests):
        made[at].signals[name] = total
    # Upgrades are sessions: their durations say nothing of requests.
    timed = numbers(counts["timed"])
    is_timed = (timed > 0) & ~code.is_any(101)
    for at, name, total in sums_by(row, leg, timed, is_timed):
        made[at].timed[name] = total
    for at, name, total in sums_by(row, leg, numbers(counts["duration_us"]), is_timed):
        made[at].duration_us[name] = total
    return made


@dataclass(frozen=True)
class Codes:
    """A column by the places of its values among ``values``."""

    place: Ints
    values: Sequence[Any]

    def is_any(self, *names: Any) -> npt.NDArray[np.bool_]:
        return np.isin(self.place, [place for place, value in enumerate(self.values) if value in names])


def codes_of(column: pa.ChunkedArray) -> Codes:
    encoded = column.combine_chunks().dictionary_encode("encode")
    return Codes(encoded.indices.to_numpy(), encoded.dictionary.to_pylist())


def numbers(column: pa.ChunkedArray) -> Ints:
    """As 64 bits, null as 0."""
    return pc.fill_null(column, 0).to_numpy().astype(np.int64, copy=False)


def sums_by(
    row: Ints, codes: Codes, values: Ints, wanted: npt.NDArray[np.bool_] | None = None
) -> Iterator[tuple[int, Any, int]]:
    """Each row and value of a column that stand together, and the sum there."""
    place = codes.place
    if wanted is not None:
        chosen = np.flatnonzero(wanted)
        row, place, values = row[chosen], place[chosen], values[chosen]
    wide = max(len(codes.values), 1)
    key = row * wide + place
    size = int(key.max()) + 1 if len(key) else 0
    if size <= _DENSE:
        met = np.flatnonzero(np.bincount(key))
        at = np.zeros(size, np.int64)
        at[met] = np.arange(len(met))
        at = at[key]
    else:
        met, at = np.unique(key, return_inverse=True)
    of_row, of_value = np.divmod(met, wide)
    for place_of, value, total in zip(
        of_row.tolist(), of_value.tolist(), _sums(at, values, len(met)), strict=True
    ):
        yield place_of, codes.values[value], total


def _known(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return column.is_valid().to_numpy()


def _sums(row: Ints, values: Ints, rows: int, known: npt.NDArray[np.bool_] | None = None) -> list[Any]:
    """The sum of each row's values; of none that is ``known``: None."""
    if known is not None:
        chosen = np.flatnonzero(known)
        row, values = row[chosen], values[chosen]
    wide = len(values) and max(int(values.max()), -int(values.min())) * len(values) >= 2**63
    summed = np.zeros(rows, object if wide else np.int64)
    np.add.at(summed, row, values.astype(object) if wide else values)
    if known is None:
        return summed.tolist()
    some = np.zeros(rows, bool)
    some[row] = True
    return [total if has else None for total, has in zip(summed.tolist(), some.tolist(), strict=True)]
