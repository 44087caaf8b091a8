"""OTLP metric exports → `metric_points`, `resources`, `identities`, `rejects`.

What must stay true: no Python statement per point; a point that says it recorded no value makes no
row; Envoy's start times in microseconds (reference/telemetry.md §5.2) are read as what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import ids, limits
from collector.decode.attributes import attribute_maps, maps_or_null, spread_maps
from collector.decode.envelope import Level, children, chunks, decode_without_broken, parse, refuse_over_limit
from collector.decode.otlp import (
    METRICS,
    Opened,
    bounded_records,
    finish,
    open_exports,
    reject_marked,
    table_of,
)
from collector.decode.rejected import RejectLog
from collector.decode.text import offsets_of, spread, text_column, to_text
from collector.decode.types import Decoded, Export
from store.schema import EXEMPLAR, METRIC_POINTS

_NO_RECORDED_VALUE = 1
_MICROSECONDS_BELOW = 9 * 10**15  # as nanoseconds: April 1970; as microseconds: the year 2255
_TEMPORALITIES = pa.array([None, "delta", "cumulative"], pa.string())
_QUANTILES = METRIC_POINTS.field("quantiles").type


def decode_metrics(exports: Sequence[Export]) -> Decoded:
    """Decode ExportMetricsServiceRequest bodies. Records are data points. Never raises for bad data."""

    def decode(bodies: pa.BinaryArray, numbers: np.ndarray) -> Decoded:
        log = RejectLog(METRICS.source, METRICS.records, exports)
        opened = open_exports(METRICS, exports, bodies, numbers)
        room = np.full(len(exports), limits.RECORDS_PER_EXPORT, np.int64)
        points, accepted = [], 0
        for records, metrics in bounded_records(opened, log):
            for kind in _KINDS:
                for batch in _batches(opened, log, kind, records, metrics, room):
                    table, skipped = _points(batch)
                    points.append(table)
                    accepted += table.num_rows + skipped
        pieces = {"metric_points": points, "resources": [opened.resources]}
        return finish(pieces | {"identities": [opened.identities]}, log, accepted)

    return decode_without_broken(exports, "Request", METRICS.record, decode)


@dataclass(frozen=True)
class _Batch:
    """Some points of one kind: their columns, and the metric (row, record number) of each."""

    opened: Opened
    log: RejectLog
    kind: str
    metrics: pa.RecordBatch
    level: Level
    first: int
    metric: np.ndarray
    records: np.ndarray
    rows: pa.RecordBatch

    def place(self, row: int) -> str:
        index = self.level.place(self.first + row)
        return f"{self.opened.place(int(self.records[row]))}.{self.kind}.data_points[{index}]"


def _batches(
    opened: Opened, log: RejectLog, kind: str, records: np.ndarray, metrics: pa.RecordBatch, room: np.ndarray
) -> Iterator[_Batch]:
    lists = metrics.column(kind).field("points")
    refuse_over_limit(lists, opened.export_of[records], limits.RECORDS_REFUSED, "points")
    level = children(lists)
    for start, end in chunks(level.raw):
        metric = level.parent[start:end]
        export_of = opened.export_of[records[metric]]
        room -= np.bincount(export_of, minlength=len(room))
        if (room[export_of] < 0).any():  # whole chunks: the bound is on work, not on a number
            over = np.flatnonzero(room[export_of] < 0)
            log.add(export_of[over], lambda _: (kind, f"more than {limits.RECORDS_PER_EXPORT} points", ""))
            continue
        rows = parse(_KINDS[kind].message, level.raw.slice(start, end - start), export_of)
        yield _Batch(opened, log, kind, metrics, level, start, metric, records[metric], rows)


def _points(batch: _Batch) -> tuple[pa.Table, int]:
    """The kept points as rows, and how many said that they hold no value."""
    rows, recorded = batch.rows, _recorded(batch.rows)
    times = [("time_unix_nano", True), ("start_time_unix_nano", False)]
    faults = [*(ids.time_fault(rows, *time) for time in times), *_KINDS[batch.kind].faults(rows)]
    bad = reject_marked(batch.log, batch.opened.export_of[batch.records], batch.place, faults)
    keep = recorded & ~bad
    chosen = pa.array(keep)
    metric, records, rows = batch.metric[keep], batch.records[keep], rows.filter(chosen)
    points = batch.metrics.column(batch.kind)
    start = rows.column("start_time_unix_nano").to_numpy().astype(np.int64)
    start = np.where(start < _MICROSECONDS_BELOW, start * 1000, start)
    maps, _ = attribute_maps(rows.column("attributes"))
    at = pa.array(metric)
    columns = batch.opened.shared_columns(records) | {
        "time": ids.moments(rows.column("time_unix_nano").to_numpy().astype(np.int64)),
        "start_time": ids.moments(start),
        "name": spread(to_text(batch.metrics.column("name"), limits.NAME_BYTES), metric),
        "description": spread(text_column(batch.metrics.column("description")), metric),
        "unit": spread(text_column(batch.metrics.column("unit"), limits.NAME_BYTES), metric),
        "metadata": spread_maps(maps_or_null(attribute_maps(batch.metrics.column("metadata"))[0]), metric),
        "type": pa.repeat(batch.kind, len(metric)),
        "temporality": _temporality(points.field("temporality").take(at)),
        "attributes": maps,
        "flags": rows.column("flags"),
    }
    if batch.kind == "sum":
        columns["monotonic"] = points.field("monotonic").take(at)
    columns |= _KINDS[batch.kind].columns(rows)
    if "exemplars" in rows.schema.names:
        columns["exemplars"] = _exemplars(rows.column("exemplars"))
    missing = {
        field.name: pa.nulls(len(metric), field.type) for field in METRIC_POINTS if field.name not in columns
    }
    return table_of(METRIC_POINTS, columns | missing), int((~recorded & ~bad).sum())


def _recorded(rows: pa.RecordBatch) -> np.ndarray:
    return (rows.column("flags").to_numpy() & _NO_RECORDED_VALUE) == 0


def _temporality(numbers: pa.Array) -> pa.StringArray:
    codes = numbers.to_numpy(zero_copy_only=False)
    return _TEMPORALITIES.take(pa.array(np.where((codes >= 0) & (codes < 3), codes, 0)))


def _no_faults(rows: pa.RecordBatch) -> list[ids.Fault]:
    return []


def _bucket_faults(rows: pa.RecordBatch) -> list[ids.Fault]:
    counts, bounds = (np.diff(offsets_of(rows.column(name))) for name in ("bucket_counts", "bounds"))

    def told(row: int) -> tuple[str, str]:
        return f"has {counts[row]} counts for {bounds[row]} bounds, expected one more than bounds", ""

    # Both lists empty is a histogram of sum and count alone; a lone count without bounds as well.
    return [("bucket_counts", (counts != bounds + 1) & ((counts != 0) | (bounds != 0)), told)]


def _number(rows: Mapping[str, pa.Array] | pa.RecordBatch) -> dict[str, pa.Array]:
    whole = rows["as_int"]
    return {"value": pc.coalesce(rows["as_double"], _as_float(whole)), "value_int": whole}


def _as_float(whole: pa.Int64Array) -> pa.DoubleArray:
    return whole.cast(pa.float64(), safe=False)


def _exemplars(lists: pa.ListArray) -> pa.ListArray:
    """Null where a point has none."""
    offsets = offsets_of(lists)
    if offsets[-1] == offsets[0]:
        return pa.nulls(len(lists), METRIC_POINTS.field("exemplars").type)
    found = lists.flatten()
    nanos = found.field("time_unix_nano").to_numpy()
    value = _number({"as_double": found.field("as_double"), "as_int": found.field("as_int")})
    parts = [
        pa.array(np.where(ids.nanos_in_range(nanos), nanos, 0).astype(np.int64)),
        value["value"],
        value["value_int"],
        ids.trace_id_storage(found.field("trace_id")),
        ids.span_ids(ids.matrix(found.field("span_id"), 8))[0],
        attribute_maps(found.field("attributes"))[0],
    ]
    made = pa.StructArray.from_arrays(parts, fields=list(EXEMPLAR))
    return pa.ListArray.from_arrays(pa.array(offsets - offsets[0], mask=_empty(offsets)), made)


def _empty(offsets: np.ndarray) -> np.ndarray:
    """For the offsets of a list: which of its rows are empty (the last offset is no row)."""
    return np.append(np.diff(offsets) == 0, False)


def _histogram(rows: pa.RecordBatch) -> dict[str, pa.Array]:
    return {name: rows.column(name) for name in ("count", "sum", "min", "max", "bounds", "bucket_counts")}


def _exponential(rows: pa.RecordBatch) -> dict[str, pa.Array]:
    names = ("count", "sum", "min", "max", "scale", "zero_count", "zero_threshold")
    columns = {name: rows.column(name) for name in names}
    for side in ("positive", "negative"):
        offset, counts = rows.column(side).flatten()  # null where the side is absent
        columns[f"{side}_offset"], columns[f"{side}_counts"] = offset, counts
    return columns


def _summary(rows: pa.RecordBatch) -> dict[str, pa.Array]:
    return {
        "count": rows.column("count"),
        "sum": rows.column("sum"),
        "quantiles": rows.column("quantiles").cast(_QUANTILES),
    }


@dataclass(frozen=True)
class _Kind:
    message: str
    columns: Callable[[pa.RecordBatch], dict[str, pa.Array]]
    faults: Callable[[pa.RecordBatch], list[ids.Fault]] = _no_faults


_KINDS = {
    "gauge": _Kind("NumberPoint", _number),
    "sum": _Kind("NumberPoint", _number),
    "histogram": _Kind("HistogramPoint", _histogram, _bucket_faults),
    "exponential_histogram": _Kind("ExponentialPoint", _exponential),
    "summary": _Kind("SummaryPoint", _summary),
}
