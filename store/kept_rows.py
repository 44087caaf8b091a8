"""Measurements of sealed rows, kept from one question to the next: a page asks again and again for the same minutes.

What must stay true: a segment's rows never change, so what is kept under its name is always right; together they take
no more than their limit, the longest unasked are forgotten first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from store.database import to_arrow
from store.percentiles import Ints
from store.statements import literal, sql

_LIMIT_BYTES = 64 << 20
_STATEMENTS = {"observations": "ask/measured_observations", "spans": "ask/measured_spans"}
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Measurements:
    """Rows of a segment that tell a duration: each with the place of its key in ``keys`` and the minute since 1970."""

    keys: pa.Array
    key: Ints
    minute_no: Ints
    duration_us: Ints

    @property
    def size_bytes(self) -> int:
        return sum(array.nbytes for array in (self.keys, self.key, self.minute_no, self.duration_us))


class KeptRows:
    """Of one data folder; safe to use from any thread."""

    def __init__(self, data_dir: Path, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._data_dir = data_dir
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[str, Measurements] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def path(self, path: str) -> str:
        """Where a segment lies, told relative to the data folder."""
        return str(self._data_dir / path)

    def of(self, cursor: Any, table: str, path: str) -> Measurements:
        """Those of segment ``path`` of ``table`` ('observations', 'spans'), read unless they are kept."""
        with self._lock:
            if (kept := self._kept.get(path)) is not None:
                self._kept.move_to_end(path)
                return kept
        relation = literal(self.path(path))
        read = _measurements(to_arrow(cursor.execute(sql(_STATEMENTS[table], path=relation))))
        with self._lock:
            if path not in self._kept:
                self._kept[path] = read
                self._bytes += read.size_bytes
            while self._bytes > self._limit_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].size_bytes
        return read


def _measurements(rows: pa.Table) -> Measurements:
    keys = rows["peer_key"].combine_chunks().dictionary_encode()
    return Measurements(
        keys.dictionary,
        keys.indices.to_numpy(),
        _narrow(rows["minute_no"].to_numpy()),
        _narrow(rows["duration_us"].to_numpy()),
    )


def _narrow(numbers: Ints) -> Ints:
    fits = not len(numbers) or (numbers.min() >= _INT32.min and numbers.max() <= _INT32.max)
    return numbers.astype(np.int32) if fits else numbers
