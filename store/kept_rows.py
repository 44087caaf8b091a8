"""Measurements of sealed rows, kept from one question to the next: a page asks again and again for the same minutes.

What must stay true: a segment's rows never change, so what is kept under its name is always right; together they take
no more than their limit, the longest unasked are forgotten first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from store.asking import ask_rows
from store.database import to_arrow
from store.percentiles import Ints
from store.physical import ROLLED_UP
from store.query_types import Window
from store.relations import parquet_sql
from store.statements import source, sql

_LIMIT_BYTES = 64 << 20
_STATEMENTS = {"observations": "ask/measured_observations", "spans": "ask/measured_spans"}
_NO_WINDOW = {"from_time": None, "to_time": None}
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Measurements:
    """Rows that tell a duration: each with the place of its key in ``keys`` and its time, in µs after ``since_us``."""

    keys: pa.Array
    key: Ints
    since_us: int
    time_us: Ints
    duration_us: Ints

    @property
    def size_bytes(self) -> int:
        return sum(array.nbytes for array in (self.keys, self.key, self.time_us, self.duration_us))

    def minute_no(self) -> Ints:
        """Minutes since 1970."""
        return (self.since_us + self.time_us.astype(np.int64)) // 60_000_000

    def within(self, window: Window) -> Measurements:
        """Those of a window."""
        since, until = (
            (end - _EPOCH) // _MICROSECOND - self.since_us for end in (window.from_time, window.to_time)
        )
        inside = np.flatnonzero((self.time_us >= since) & (self.time_us < until))
        return replace(
            self, key=self.key[inside], time_us=self.time_us[inside], duration_us=self.duration_us[inside]
        )


class KeptRows:
    """Of one data folder; safe to use from any thread."""

    def __init__(self, data_dir: Path, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._data_dir = data_dir
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[str, Measurements] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def of_window(self, cursor: Any, window: Window) -> Iterator[Measurements]:
        """Those of all rows in a window of access logs and proxies' spans, on a reader's cursor, piece by piece."""
        values = {"from_time": window.from_time, "to_time": window.to_time}
        for one in ask_rows(cursor, "segments_measured", values):
            rows = self.of(cursor, one["table_name"], one["path"])
            yield rows if one["is_whole"] else rows.within(window)
        for table in ROLLED_UP:
            yield _read(cursor, sql(_STATEMENTS[table], rows=f"{table}_unsealed", is_all="false"), values)
        if ask_rows(cursor, "any_span_links", {})[0]["known"]:
            yield _read(cursor, source("ask/measured_calls"), values)

    def of(self, cursor: Any, table: str, path: str) -> Measurements:
        """Those of segment ``path`` of ``table`` ('observations', 'spans'), read unless they are kept."""
        with self._lock:
            if (kept := self._kept.get(path)) is not None:
                self._kept.move_to_end(path)
                return kept
        rows = parquet_sql([str(self._data_dir / path)])
        read = _read(cursor, sql(_STATEMENTS[table], rows=rows, is_all="true"), _NO_WINDOW)
        with self._lock:
            if path not in self._kept:
                self._kept[path] = read
                self._bytes += read.size_bytes
            while self._bytes > self._limit_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].size_bytes
        return read


def _read(cursor: Any, statement: str, values: Mapping[str, Any]) -> Measurements:
    return _measurements(to_arrow(cursor.execute(statement, dict(values))))


def _measurements(rows: pa.Table) -> Measurements:
    keys = rows["peer_key"].combine_chunks().dictionary_encode()
    time_us = rows["time_us"].to_numpy()
    since_us = int(time_us.min()) if len(time_us) else 0
    return Measurements(
        keys.dictionary,
        keys.indices.to_numpy(),
        since_us,
        _narrow(time_us - since_us),
        _narrow(rows["duration_us"].to_numpy()),
    )


def _narrow(numbers: Ints) -> Ints:
    fits = not len(numbers) or (numbers.min() >= _INT32.min and numbers.max() <= _INT32.max)
    return numbers.astype(np.int32) if fits else numbers
