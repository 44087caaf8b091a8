"""OTLP log exports → `logs`, `observations` (access logs), `resources`, `identities`, `rejects`.

What must stay true: no Python statement per record; a record without a time gets the time it was
observed, else received; an id that is no id is null (OTLP: treat as unset), only an impossible time
rejects a record.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import identity, ids, limits
from collector.decode.attributes import AttributeTable, KnownKeys, Pairs, any_text
from collector.decode.envelope import decode_without_broken
from collector.decode.otlp import LOGS as SIGNAL
from collector.decode.otlp import Opened, bounded_records, clamped, finish, kept_after, open_exports, table_of
from collector.decode.otlp_access_fields import FIELD_KEYS
from collector.decode.otlp_access_logs import AccessLogs, read_access_logs
from collector.decode.rejected import RejectLog
from collector.decode.text import null_if_empty, text_column
from collector.decode.types import Decoded, Export
from store.schema import LOGS

EVENT_NAME = "event.name"  # where senders put it before LogRecord had a field for it
_KEYS = KnownKeys(
    [
        EVENT_NAME,
        *(key for keys in FIELD_KEYS.values() for key in keys),
        *(key for keys in identity.LOG_LABELS.values() for key in keys),
    ]
)
_TIMES = ("time_unix_nano", "observed_time_unix_nano")


def decode_logs(exports: Sequence[Export]) -> Decoded:
    """Decode ExportLogsServiceRequest bodies. Never raises for bad data."""
    received = np.array([export.received_us for export in exports], np.int64) * 1000

    def decode(bodies: pa.BinaryArray, numbers: np.ndarray) -> Decoded:
        log = RejectLog(SIGNAL.source, SIGNAL.records, exports)
        opened = open_exports(SIGNAL, exports, bodies, numbers)
        logs, requests, found = [], [], [opened.identities]
        accepted = 0
        for records, rows in bounded_records(opened, log):
            table, access = _logs(exports, opened, log, received, records, rows)
            accepted += len(access.taken)
            logs.append(table)
            requests.append(access.observations)
            found.append(access.identities)
        learned = identity.distinct(pa.concat_tables(found))
        pieces = {
            "logs": logs,
            "observations": requests,
            "resources": [opened.resources],
            "identities": [learned],
        }
        return finish(pieces, log, accepted)

    return decode_without_broken(exports, "Request", SIGNAL.record, decode)


def _logs(
    exports: Sequence[Export],
    opened: Opened,
    log: RejectLog,
    received: np.ndarray,
    records: np.ndarray,
    rows: pa.RecordBatch,
) -> tuple[pa.Table, AccessLogs]:
    pairs = Pairs.opened("KeyValue", rows.column("attributes"), opened.export_of[records])
    keep = kept_after(opened, log, records, [ids.time_fault(rows, field, required=False) for field in _TIMES])
    if keep is not None:
        records, rows, pairs = records[keep], rows.filter(pa.array(keep)), pairs.filter(keep)
    sent, observed = (rows.column(field).to_numpy().astype(np.int64) for field in _TIMES)
    time = np.where(sent != 0, sent, np.where(observed != 0, observed, received[opened.export_of[records]]))
    table = AttributeTable(pairs, _KEYS)
    body = null_if_empty(any_text(rows.column("body")))
    shared = {
        "time": ids.moments(time),
        "trace_id": ids.trace_ids(ids.matrix(rows.column("trace_id"), 16))[0],
        "span_id": ids.span_ids(ids.matrix(rows.column("span_id"), 8))[0],
    }
    access = read_access_logs(exports, opened, records, table, body, shared, ids.moments(sent))
    if access.taken.all() and len(records):
        return LOGS.empty_table(), access
    event_name = text_column(rows.column("event_name"), limits.NAME_BYTES)
    columns = opened.shared_columns(records) | shared
    columns |= {
        "time_ns": pa.array(time),
        "observed_time": ids.moments(observed),
        "severity_number": rows.column("severity_number"),
        "severity_text": text_column(rows.column("severity_text"), limits.NAME_BYTES),
        "body": body,
        "event_name": pc.coalesce(event_name, table.peek(EVENT_NAME)),
        "flags": rows.column("flags"),
        "attributes": table.rest(),
        "dropped_attributes_count": clamped(
            rows.column("dropped_attributes_count").to_numpy() + table.dropped
        ),
    }
    logs = table_of(LOGS, columns)
    return (logs.filter(pa.array(~access.taken)) if access.taken.any() else logs), access
