"""OTLP trace exports → `spans`, `resources`, `identities`, `rejects`.

What must stay true: no Python statement per span; a span with a bad id or time is rejected alone and
the others are kept; what a proxy says of itself becomes columns, all else stays in `attributes`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import applications, identity, ids, limits
from collector.decode.attributes import AttributeTable, Pairs, attribute_maps
from collector.decode.envelope import decode_without_broken
from collector.decode.otlp import (
    TRACES,
    Opened,
    bounded_records,
    clamped,
    finish,
    kept_after,
    open_exports,
    table_of,
)
from collector.decode.rejected import RejectLog
from collector.decode.text import null_if_empty, offsets_of, take, text_column, to_text
from collector.decode.types import Decoded, Export
from store.schema import EVENT, LINK, SPANS

END_BEFORE_START = "sidelight.end_before_start"  # attribute: the end the sender gave, in nanoseconds
_KINDS = pa.array(["unspecified", "internal", "server", "client", "producer", "consumer"])
_STATUSES = pa.array(["unset", "ok", "error"])


def decode_traces(exports: Sequence[Export]) -> Decoded:
    """Decode ExportTraceServiceRequest bodies. Never raises for bad data."""

    def decode(bodies: pa.BinaryArray, numbers: np.ndarray) -> Decoded:
        log = RejectLog(TRACES.source, TRACES.records, exports)
        opened = open_exports(TRACES, exports, bodies, numbers)
        spans, found = [], [opened.identities]
        for records, rows in bounded_records(opened, log):
            table, learned = _spans(exports, opened, log, records, rows)
            spans.append(table)
            found.append(learned)
        accepted = sum(table.num_rows for table in spans)
        learned = identity.distinct(pa.concat_tables(found))
        pieces = {"spans": spans, "resources": [opened.resources], "identities": [learned]}
        return finish(pieces, log, accepted)

    return decode_without_broken(exports, "Request", TRACES.record, decode)


def _spans(
    exports: Sequence[Export], opened: Opened, log: RejectLog, records: np.ndarray, rows: pa.RecordBatch
) -> tuple[pa.Table, pa.Table]:
    pairs = Pairs.opened("KeyValue", rows.column("attributes"), opened.export_of[records])
    keep = _reject_bad(opened, log, records, rows)
    if keep is not None:
        records, rows, pairs = records[keep], rows.filter(pa.array(keep)), pairs.filter(keep)
    start = rows.column("start_time_unix_nano").to_numpy().astype(np.int64)
    end = rows.column("end_time_unix_nano").to_numpy().astype(np.int64)
    table = AttributeTable(pairs, identity.SPAN_KEYS)
    columns = opened.shared_columns(records)
    columns |= _ids(rows) | _said_by_proxy(table)
    columns["time"], columns["time_ns"] = ids.moments(start), pa.array(start)
    columns["duration_ns"] = pa.array(np.maximum(end - start, 0))
    columns |= {
        "trace_state": text_column(rows.column("trace_state")),
        "flags": rows.column("flags"),
        "name": to_text(rows.column("name"), limits.NAME_BYTES),
        "kind": _named(rows.column("kind"), _KINDS),
        "status": _named(rows.column("status").field("code"), _STATUSES),
        "status_message": text_column(rows.column("status").field("message")),
    }
    columns |= applications.target_columns(table, columns["kind"], columns["is_proxy"])
    columns |= _events(rows) | _links(rows)
    dropped = rows.column("dropped_attributes_count").to_numpy() + table.dropped
    columns["dropped_attributes_count"] = clamped(dropped)
    learned = _name_emitters(exports, opened, table, records, columns)
    backwards = np.flatnonzero(end < start).tolist()
    columns["attributes"] = table.rest([(row, END_BEFORE_START, str(end[row])) for row in backwards])
    return table_of(SPANS, columns), learned


def _reject_bad(
    opened: Opened, log: RejectLog, records: np.ndarray, rows: pa.RecordBatch
) -> np.ndarray | None:
    faults = [
        ids.id_fault(rows, "trace_id", 16),
        ids.id_fault(rows, "span_id", 8),
        ids.id_fault(rows, "parent_span_id", 8, optional=True),
        ids.time_fault(rows, "start_time_unix_nano", required=True),
        ids.time_fault(rows, "end_time_unix_nano", required=False),
    ]
    return kept_after(opened, log, records, faults)


def _ids(rows: pa.RecordBatch) -> dict[str, pa.Array]:
    return {
        "trace_id": ids.trace_ids(ids.matrix(rows.column("trace_id"), 16))[0],
        "span_id": ids.span_ids(ids.matrix(rows.column("span_id"), 8))[0],
        "parent_span_id": ids.span_ids(ids.matrix(rows.column("parent_span_id"), 8))[0],
    }


def _named(codes: pa.Array, names: pa.StringArray) -> pa.StringArray:
    """An enum's names; absent is its first, a number we do not know is its first too."""
    numbers = pc.fill_null(codes, 0).to_numpy()
    known = (numbers >= 0) & (numbers < len(names))
    return names.take(pa.array(np.where(known, numbers, 0)))


def _said_by_proxy(table: AttributeTable) -> dict[str, pa.Array]:
    columns = {name: table.promote(*keys) for name, keys in identity.SPAN_TEXT.items()}
    for name, keys in identity.SPAN_NUMBERS.items():
        parse = identity.small_integers if name == "status_code" else identity.not_negative
        columns[name] = table.promote_as(parse, *keys)
    columns["grpc_status"] = table.promote_as(identity.grpc_status, *identity.GRPC_STATUS)
    columns["response_flags"] = identity.absent_if_dash(table.promote(identity.RESPONSE_FLAGS), "")
    cluster = identity.absent_if_dash(table.promote(identity.UPSTREAM_CLUSTER), None)
    columns["upstream_cluster"] = null_if_empty(pc.utf8_rtrim(cluster, ";"))
    component = table.positions((identity.COMPONENT,))
    is_proxy = pc.fill_null(pc.equal(table.at(component), "proxy"), False)
    columns["is_proxy"] = is_proxy
    table.drop(component[is_proxy.to_numpy(zero_copy_only=False)])
    _drop_if_said(table, identity.UPSTREAM_CLUSTER_NAME, columns["upstream_cluster"])
    _drop_if_said(table, identity.DOWNSTREAM_CLUSTER, pa.repeat("-", table.rows))
    return columns


def _drop_if_said(table: AttributeTable, key: str, said: pa.Array) -> None:
    """Leave out an attribute that repeats what a column says (a ';' at its end apart)."""
    positions = table.positions((key,))
    same = pc.fill_null(pc.equal(pc.utf8_rtrim(table.at(positions), ";"), said), False)
    table.drop(positions[same.to_numpy(zero_copy_only=False)])


def _name_emitters(
    exports: Sequence[Export],
    opened: Opened,
    table: AttributeTable,
    records: np.ndarray,
    columns: dict[str, pa.Array],
) -> pa.Table:
    """Set `emitter`, and return what the spans teach about who emitted them."""
    encoded = table.promote(identity.NODE_ID).dictionary_encode()
    node_ids = encoded.dictionary
    codes = said = pc.fill_null(encoded.indices, -1).to_numpy()
    is_proxy = columns["is_proxy"].to_numpy(zero_copy_only=False)
    nameless = is_proxy & (codes < 0)
    peers = pa.array([], pa.string())
    if nameless.any():
        codes, peers = _borrowed(exports, opened, records, codes.copy(), nameless, len(node_ids))
    names = identity.split_node_ids(node_ids)["emitter"]
    names_of_proxies, groups = take(pa.concat_arrays([names, peers]), codes), opened.group_of(records)
    of_applications = pc.if_else(
        columns["is_proxy"], pa.scalar(None, pa.string()), take(opened.emitters, groups)
    )
    columns["emitter"] = pc.coalesce(names_of_proxies, of_applications)
    first_rows = _first_rows(said, len(node_ids))
    at = pa.array(first_rows)
    shown = {name: columns[name].take(at) for name in ("export", "time")}
    learned = identity.span_identities(table, node_ids, first_rows, shown)
    told = opened.applications.take(pa.array(np.unique(groups[~is_proxy])))
    return pa.concat_tables([learned, told.filter(pc.is_valid(told["emitter"]))])


def _first_rows(codes: np.ndarray, distinct: int) -> np.ndarray:
    first = np.zeros(distinct + 1, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return first[:distinct]


def _borrowed(
    exports: Sequence[Export],
    opened: Opened,
    records: np.ndarray,
    codes: np.ndarray,
    nameless: np.ndarray,
    names: int,
) -> tuple[np.ndarray, pa.StringArray]:
    """Codes for proxies' spans without a node id: a gateway's router span has its resource's only one.

    Where the resource names no proxy at all the sending connection's address stands for it ('@IP');
    where it names several, nobody can tell: -1.
    """
    group = opened.group_of(records)
    low, high = np.full(group.max() + 1, names, np.int64), np.full(group.max() + 1, -1, np.int64)
    named = codes >= 0
    np.minimum.at(low, group[named], codes[named])
    np.maximum.at(high, group[named], codes[named])
    only = np.where(low == high, low, -1)
    codes[nameless] = only[group[nameless]]
    lost = nameless & (high[group] < 0)
    peers, which = np.unique(opened.export_of[records[lost]], return_inverse=True)
    codes[lost] = names + which
    addresses = [exports[index].peer for index in peers.tolist()]
    return codes, pa.array([f"@{address}" if address else None for address in addresses], pa.string())


def _events(rows: pa.RecordBatch) -> dict[str, pa.Array]:
    lists, dropped = _first_of(rows.column("events"), limits.EVENTS)
    events = lists.flatten()
    nanos = events.field("time_unix_nano").to_numpy()
    times = pa.array(np.where(ids.nanos_in_range(nanos), nanos, 0).astype(np.int64))
    maps, over = attribute_maps(events.field("attributes"))
    parts = [
        times,
        to_text(events.field("name"), limits.NAME_BYTES),
        maps,
        clamped(events.field("dropped_attributes_count").to_numpy() + over),
    ]
    made = pa.StructArray.from_arrays(parts, fields=list(EVENT))
    return {
        "events": pa.ListArray.from_arrays(_from_zero(lists), made),
        "dropped_events_count": clamped(rows.column("dropped_events_count").to_numpy() + dropped),
    }


def _links(rows: pa.RecordBatch) -> dict[str, pa.Array]:
    lists, dropped = _first_of(rows.column("links"), limits.LINKS)
    links = lists.flatten()
    maps, over = attribute_maps(links.field("attributes"))
    parts = [
        ids.trace_id_storage(links.field("trace_id")),
        ids.span_ids(ids.matrix(links.field("span_id"), 8))[0],
        text_column(links.field("trace_state")),
        maps,
        clamped(links.field("dropped_attributes_count").to_numpy() + over),
        links.field("flags"),
    ]
    made = pa.StructArray.from_arrays(parts, fields=list(LINK))
    return {
        "links": pa.ListArray.from_arrays(_from_zero(lists), made),
        "dropped_links_count": clamped(rows.column("dropped_links_count").to_numpy() + dropped),
    }


def _first_of(lists: pa.ListArray, limit: int) -> tuple[pa.ListArray, np.ndarray]:
    counts = np.diff(offsets_of(lists))
    dropped = np.maximum(counts - limit, 0)
    if dropped.any():
        lists = pc.list_slice(lists, 0, limit, return_fixed_size_list=False)
    return lists, dropped


def _from_zero(lists: pa.ListArray) -> pa.Array:
    offsets = offsets_of(lists)
    return pa.array(offsets - offsets[0])
