"""What OTLP's three requests share: resources, scopes, and the way down to the records.

What must stay true: `resources` has one row per resource of the batch, in order, so that a row
number names it; every record can say its place (`resource_spans[0].scope_spans[1].spans[3]`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from collector.decode import applications, identity, ids, limits
from collector.decode.attributes import AttributeTable, Pairs, attribute_maps, maps_or_null, spread_maps
from collector.decode.envelope import (
    BrokenExports,
    Level,
    children,
    chunks,
    over_limit,
    parse,
    refuse_over_limit,
)
from collector.decode.rejected import RejectLog
from collector.decode.text import offsets_of, spread, text_column
from collector.decode.types import Decoded, Export
from store.schema import IDENTITIES, RESOURCES, TABLES, TEXT, TEXT_MAP


@dataclass(frozen=True)
class Signal:
    """One kind of OTLP request: the message of its records, and the words of its places."""

    source: str  # in `rejects` and export marks
    record: str  # descriptor of a record
    records: str  # plural, in messages
    steps: tuple[str, str, str]
    chunk_bytes: int = limits.CHUNK_BYTES  # of records opened in one call


TRACES = Signal("otlp_traces", "Span", "spans", ("resource_spans", "scope_spans", "spans"))
LOGS = Signal(
    "otlp_logs",
    "LogRecord",
    "log records",
    ("resource_logs", "scope_logs", "log_records"),
    limits.CHUNK_BYTES_RAW,
)
METRICS = Signal("otlp_metrics", "Metric", "data points", ("resource_metrics", "scope_metrics", "metrics"))
_NO_ROWS = {name: schema.empty_table() for name, schema in TABLES.items()}  # made once: 165 arrays


@dataclass(frozen=True)
class Opened:
    """An export's levels: groups (resources), scopes, records; children carry their parent's number."""

    signal: Signal
    groups: Level
    scopes: Level
    records: Level
    export_of: np.ndarray  # of each record
    resources: pa.Table
    identities: pa.Table
    applications: pa.Table  # identities of each group, for those of its spans that are an application's
    emitters: pa.StringArray  # of each group
    service_name: pa.StringArray  # of each group
    scopes_said: dict[str, pa.Array]  # the columns a record has from its scope, a value each scope

    def place(self, record: int) -> str:
        scope = int(self.records.parent[record])
        group = int(self.scopes.parent[scope])
        indexes = (self.groups.place(group), self.scopes.place(scope), self.records.place(record))
        return ".".join(f"{step}[{index}]" for step, index in zip(self.signal.steps, indexes, strict=True))

    def group_of(self, records: np.ndarray) -> np.ndarray:
        return self.scopes.parent[self.records.parent[records]]

    def shared_columns(self, records: np.ndarray) -> dict[str, pa.Array]:
        """The columns every record has from above it."""
        scope, group = self.records.parent[records], self.group_of(records)
        return {
            "export": pa.array(self.export_of[records]),
            "resource": pa.array(group),
            "service_name": spread(self.service_name, group),
            "scope_name": spread(self.scopes_said["scope_name"], scope),
            "scope_version": spread(self.scopes_said["scope_version"], scope),
            "scope_attributes": spread_maps(self.scopes_said["scope_attributes"], scope),
            "scope_schema_url": spread(self.scopes_said["scope_schema_url"], scope),
        }


def open_exports(
    signal: Signal, exports: Sequence[Export], bodies: pa.BinaryArray, numbers: np.ndarray
) -> Opened:
    """Open everything above the records. Raises BrokenExports."""
    top = parse("Request", bodies, numbers).column("groups")
    refuse_over_limit(top, numbers, limits.GROUPS_PER_EXPORT, "resources")
    groups = children(top)
    group_export = numbers[groups.parent]
    group_rows = parse("Group", groups.raw, group_export)
    refuse_over_limit(group_rows.column("scoped"), group_export, limits.GROUPS_PER_EXPORT, "scopes")
    scopes = children(group_rows.column("scoped"))
    scope_export = group_export[scopes.parent]
    scope_rows = parse("Scoped", scopes.raw, scope_export)
    refuse_over_limit(scope_rows.column("records"), scope_export, limits.RECORDS_REFUSED, signal.records)
    records = children(scope_rows.column("records"))
    schema_url = text_column(group_rows.column("schema_url"), limits.NAME_BYTES)
    received = np.array([export.received_us for export in exports], np.int64)
    resources, names, found, told, emitters = _resources(
        group_rows.column("resource"), group_export, schema_url, received
    )
    scopes_said = _scopes(scope_rows.column("scope"), scope_export)
    scopes_said["scope_schema_url"] = text_column(scope_rows.column("schema_url"), limits.NAME_BYTES)
    return Opened(
        signal,
        groups,
        scopes,
        records,
        scope_export[records.parent],
        resources,
        found,
        told,
        emitters,
        names,
        scopes_said,
    )


def _scopes(raw: pa.BinaryArray, export_of: np.ndarray) -> dict[str, pa.Array]:
    """Name, version and attributes of each scope."""
    pieces: list[list[pa.Array]] = [[pa.nulls(0, TEXT)], [pa.nulls(0, TEXT)], [pa.nulls(0, TEXT_MAP)]]
    for start, end in _bounded_chunks(raw, export_of, "a scope"):
        rows = parse("Scope", raw.slice(start, end - start), export_of[start:end])
        maps, _ = attribute_maps(rows.column("attributes"))
        said = [text_column(rows.column(name), limits.NAME_BYTES) for name in ("name", "version")]
        for column, piece in zip(pieces, [*said, maps_or_null(maps)], strict=True):
            column.append(piece)
    names = ("scope_name", "scope_version", "scope_attributes")
    return {name: pa.concat_arrays(column) for name, column in zip(names, pieces, strict=True)}


def _bounded_chunks(raw: pa.BinaryArray, export_of: np.ndarray, what: str) -> Iterator[tuple[int, int]]:
    """The chunks of what stands above the records. Raises BrokenExports for a member past the limit."""
    sizes = np.diff(offsets_of(raw))
    if sizes.size and sizes.max() > limits.RECORD_BYTES:
        over = np.unique(export_of[sizes > limits.RECORD_BYTES]).tolist()
        reason = f"{what} of more than {limits.RECORD_BYTES} bytes"
        raise BrokenExports(dict.fromkeys(over, reason), wire=False)
    return chunks(raw)


def _resources(
    raw: pa.BinaryArray, export_of: np.ndarray, schema_url: pa.StringArray, received: np.ndarray
) -> tuple[pa.Table, pa.StringArray, pa.Table, pa.Table, pa.StringArray]:
    tables, names, found = [RESOURCES.empty_table()], [pa.array([], pa.string())], []
    told, emitters = [IDENTITIES.empty_table()], [pa.array([], pa.string())]
    for start, end in _bounded_chunks(raw, export_of, "a resource"):
        numbers = export_of[start:end]
        rows = parse("Resource", raw.slice(start, end - start), numbers)
        table = AttributeTable(Pairs.of(rows.column("attributes")), identity.RESOURCE_KEYS)
        dropped = rows.column("dropped_attributes_count").to_numpy() + table.dropped
        columns = [
            pa.array(numbers),
            pa.array(np.arange(start, end, dtype=np.int32)),
            table.rest(),
            schema_url.slice(start, end - start),
            clamped(dropped),
        ]
        tables.append(pa.Table.from_arrays(columns, schema=RESOURCES))
        names.append(table.peek(identity.SERVICE_NAME))
        times = pa.array(received[numbers])
        found.append(identity.resource_identities(table, numbers, times))
        emitters.append(applications.application_emitters(table))
        told.append(
            applications.application_identities(table, emitters[-1], export=pa.array(numbers), time=times)
        )
    learned = pa.concat_tables(told)
    return (
        pa.concat_tables(tables),
        pa.concat_arrays(names),
        _distinct(found),
        learned,
        pa.concat_arrays(emitters),
    )


def _distinct(found: list[pa.Table]) -> pa.Table:
    return identity.distinct(pa.concat_tables(found)) if found else TABLES["identities"].empty_table()


def clamped(counts: np.ndarray) -> pa.Array:
    """Counts that may have grown past 32 bits, as uint32."""
    return pa.array(np.minimum(counts, 0xFFFFFFFF).astype(np.uint32))


def bounded_records(opened: Opened, log: RejectLog) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """Yield (record numbers, their columns) in chunks; too large and too many ones go to the log."""
    raw, export_of = opened.records.raw, opened.export_of
    sizes = np.diff(offsets_of(raw))
    large, excess = sizes > limits.RECORD_BYTES, over_limit(export_of, limits.RECORDS_PER_EXPORT)
    numbers = np.arange(len(raw))
    if large.any() or excess.any():
        _log_bounds(opened, log, np.flatnonzero(large & ~excess), sizes)
        _log_bounds(opened, log, np.flatnonzero(excess), None)
        numbers = np.flatnonzero(~(large | excess))
        raw = raw.take(pa.array(numbers))
    for start, end in chunks(raw, opened.signal.chunk_bytes):
        chosen = numbers[start:end]
        yield chosen, parse(opened.signal.record, raw.slice(start, end - start), export_of[chosen])


def _log_bounds(opened: Opened, log: RejectLog, records: np.ndarray, sizes: np.ndarray | None) -> None:
    def describe(position: int) -> tuple[str, str, str]:
        record = int(records[position])
        if sizes is None:
            return opened.place(record), f"more than {limits.RECORDS_PER_EXPORT} records in one export", ""
        reason = f"has {sizes[record]} bytes, at most {limits.RECORD_BYTES} are read"
        return opened.place(record), reason, ""

    if len(records):
        log.add(opened.export_of[records], describe)


def finish(pieces: dict[str, list[pa.Table]], log: RejectLog, accepted: int) -> Decoded:
    """All seven tables, those without rows included."""
    pieces.setdefault("rejects", []).append(log.table())
    tables = {name: pa.concat_tables([empty, *pieces.get(name, ())]) for name, empty in _NO_ROWS.items()}
    return Decoded(tables, {}, log.by_export(), accepted)


def table_of(schema: pa.Schema, columns: dict[str, pa.Array]) -> pa.Table:
    """Columns in the schema's order and types."""
    arrays = [columns[field.name] for field in schema]
    return pa.Table.from_arrays(
        [
            array if array.type == field.type else array.cast(field.type)
            for array, field in zip(arrays, schema, strict=True)
        ],
        schema=schema,
    )


def kept_after(
    opened: Opened, log: RejectLog, numbers: np.ndarray, faults: Sequence[ids.Fault]
) -> np.ndarray | None:
    """Reject the records some fault marks. Returns the mask of the rows to keep; None: all."""
    bad = reject_marked(log, opened.export_of[numbers], lambda row: opened.place(int(numbers[row])), faults)
    return ~bad if bad.any() else None


def reject_marked(
    log: RejectLog, export_of: np.ndarray, place: Callable[[int], str], faults: Sequence[ids.Fault]
) -> np.ndarray:
    """Log every row some fault marks, once, for the first fault. Returns the mask of the bad rows."""
    bad = np.zeros(len(export_of), bool)
    for field, mask, describe in faults:
        fresh = np.flatnonzero(mask & ~bad)
        if len(fresh):
            bad |= mask
            log.add(export_of[fresh], _Told(fresh, field, place, describe))
    return bad


@dataclass(frozen=True)
class _Told:
    """Describes the n-th bad row of one fault."""

    rows: np.ndarray
    field: str
    place: Callable[[int], str]
    describe: Callable[[int], tuple[str, str]]

    def __call__(self, position: int) -> tuple[str, str, str]:
        row = int(self.rows[position])
        return f"{self.place(row)}.{self.field}", *self.describe(row)
