"""Which segments may hold a trace: a Bloom filter of each one's trace ids, in the catalogue and in memory.

Parquet's own filters are in the files: to ask 300 of them takes 3 ms each. What must stay true: a filter never says
no to a trace that is there; a segment without one may hold any. It is made when there is time (`store.upkeep`).
"""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.catalogue import Segment
from store.database import Cursor, to_arrow, transaction
from store.relations import parquet_sql
from store.statements import sql

TABLE = "spans"

_BITS_PER_TRACE = 12
_PROBES = 8  # of 1,000 segments without the trace about 3 are read
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # splitmix64's

Words = npt.NDArray[np.uint64]


class TraceFilters:
    """Those of a store's segments. The sealer's thread changes them; any may ask."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._filters: dict[str, npt.NDArray[np.uint8]] = {}

    def read(self, cursor: Cursor) -> None:
        """What the catalogue has."""
        found = cursor.execute("SELECT path, filter FROM catalogue.trace_filters").fetchall()
        self._filters = {path: np.frombuffer(filter, np.uint8) for path, filter in found}

    def choose(self, segments: list[Segment], trace_id: uuid.UUID) -> list[Segment]:
        """``segments`` without those that have no span of this trace."""
        probes = _probes(np.frombuffer(trace_id.bytes, np.uint64).reshape(1, 2))
        return [one for one in segments if one.table != TABLE or self._may_hold(one.path, probes)]

    def without(self, segments: list[Segment]) -> Segment | None:
        """The newest that has no filter: the newest are asked for most."""
        missing = [one for one in segments if one.table == TABLE and one.path not in self._filters]
        return max(missing, key=lambda one: one.path, default=None)

    def add(self, cursor: Cursor, segment: Segment) -> None:
        """Make its filter. Raises duckdb errors where the file cannot be read."""
        rows = parquet_sql([str(self._data_dir / segment.path)])
        made = make(to_arrow(cursor.execute(sql("ask/trace_ids", rows=rows)))["trace_id"])
        with transaction(cursor):
            cursor.execute("INSERT INTO catalogue.trace_filters VALUES (?, ?)", [segment.path, made])
        self._filters[segment.path] = np.frombuffer(made, np.uint8)

    def forget(self, cursor: Cursor, segments: list[Segment]) -> None:
        """Drop the filters of those, in the caller's transaction."""
        for one in segments:
            cursor.execute("DELETE FROM catalogue.trace_filters WHERE path = ?", [one.path])
            self._filters.pop(one.path, None)

    def _may_hold(self, path: str, probes: Words) -> bool:
        bits = self._filters.get(path)
        return bits is None or _has(bits, probes)


def make(trace_ids: pa.ChunkedArray) -> bytes:
    """The filter of these ids (16 bytes each, none null)."""
    storage = trace_ids.combine_chunks().cast(pa.binary(16))
    words = np.frombuffer(storage.buffers()[1] or b"", np.uint64)[2 * storage.offset :][: 2 * len(storage)]
    bits = np.zeros(max(1, -(-_BITS_PER_TRACE * len(storage) // 8)), np.uint8)
    places = _probes(words.reshape(-1, 2)) % np.uint64(8 * len(bits))
    np.bitwise_or.at(bits, places // np.uint64(8), np.uint8(1) << (places % np.uint64(8)).astype(np.uint8))
    return bits.tobytes()


def _has(bits: npt.NDArray[np.uint8], probes: Words) -> bool:
    places = probes % np.uint64(8 * len(bits))
    return bool((bits[places // np.uint64(8)] >> (places % np.uint64(8)).astype(np.uint8) & 1).all())


def _probes(ids: Words) -> Words:
    """For each id (two words) `_PROBES` numbers. Ids are strangers': mixed, so that counting up is no attack."""
    with np.errstate(over="ignore"):
        first = _mixed(ids[:, 0] ^ _mixed(ids[:, 1]))
        step = _mixed(ids[:, 1] + _MIX[0]) | np.uint64(1)
        probes = first[:, None] + step[:, None] * np.arange(_PROBES, dtype=np.uint64)
        return probes.ravel().astype(np.uint64)


def _mixed(words: Words) -> Words:
    for shift, factor in zip((np.uint64(30), np.uint64(27)), _MIX, strict=True):
        words = np.multiply(words ^ (words >> shift), factor, dtype=np.uint64)
    return words ^ (words >> np.uint64(31))
