"""Envoy's gRPC access log (ALS) messages → `observations`, `identities`, `rejects`.

What must stay true: no Python statement per entry; only entries that end a request or connection make
a row (`DownstreamEnd`, `TcpConnectionEnd`, and untyped ones of old Envoys unless marked
intermediate), the others are accepted and not stored; the proxy is named by the identifier its
stream began with, which the server holds and hands over with every message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import als_columns as cols
from collector.decode import identity, ids, limits, peers
from collector.decode.als_node import split_identifier
from collector.decode.als_streams import Streams, stream_identities, streams_of
from collector.decode.attributes import KnownKeys
from collector.decode.envelope import (
    BrokenExports,
    Level,
    broken_inside,
    children,
    chunks,
    decode_without_broken,
    over_limit,
    parse,
    refuse_over_limit,
)
from collector.decode.otlp import finish, reject_marked, table_of
from collector.decode.rejected import RejectLog
from collector.decode.text import integers, null_if_empty, offsets_of
from collector.decode.types import Decoded, Export
from store.schema import MOMENT, OBSERVATIONS

__all__ = ["decode_als", "split_identifier"]

TEXT, NULL = cols.TEXT, cols.NULL
_TCP_END, _HTTP_END = 3, 6
_REQUEST_KEYS = KnownKeys(
    ["content-type", "traceparent", "x-b3-traceid", "x-b3-spanid", "x-request-id", "x-forwarded-client-cert"]
)
_RESPONSE_KEYS = KnownKeys(["content-type", "grpc-status"])
_TAG_KEYS = KnownKeys(["trace_id", "span_id"])
_STATE_KEYS = KnownKeys([prefix + name for name in peers.KEYS for prefix in ("", "wasm.")])
_NO_KEYS = KnownKeys([])
_ADDRESSES = (
    "downstream_direct_remote_address",
    "downstream_remote_address",
    "downstream_local_address",
    "upstream_remote_address",
    "upstream_local_address",
)
_TIMES = {
    "request_last_rx_us": "time_to_last_rx_byte",
    "upstream_first_tx_us": "time_to_first_upstream_tx_byte",
    "upstream_last_tx_us": "time_to_last_upstream_tx_byte",
    "upstream_first_rx_us": "time_to_first_upstream_rx_byte",
    "upstream_last_rx_us": "time_to_last_upstream_rx_byte",
    "downstream_first_tx_us": "time_to_first_downstream_tx_byte",
    "downstream_last_tx_us": "time_to_last_downstream_tx_byte",
}
_SAID_APART = (
    "upstream_transport_failure_reason",
    "downstream_transport_failure_reason",
    "connection_termination_details",
)


def decode_als(exports: Sequence[Export]) -> Decoded:
    """Decode StreamAccessLogsMessages. Never raises for bad data."""

    def decode(bodies: pa.BinaryArray, numbers: np.ndarray) -> Decoded:
        log = RejectLog("als", "access log entries", exports)
        messages = parse("StreamMessage", bodies, numbers)
        streams = streams_of(exports, numbers, messages.column("identifier"))
        tables, learned, accepted = [], [], 0
        for protocol in ("http", "tcp"):
            sent = messages.column(f"{protocol}_logs")
            refuse_over_limit(sent, numbers, limits.GROUPS_PER_EXPORT, "groups of entries")
            groups = children(sent)
            export_of = numbers[groups.parent]
            lists = parse(_ENTRIES[protocol], groups.raw, export_of).column("records")
            refuse_over_limit(lists, export_of, limits.RECORDS_REFUSED, "entries")
            entries = children(lists)
            batch = _Entries(protocol, groups, entries, export_of[entries.parent])
            for table, told, skipped in batch.observations(log, streams):
                tables.append(table)
                learned.append(told)
                accepted += table.num_rows + skipped
        others = identity.distinct(pa.concat_tables([identity.identities(0), *learned]))
        pieces = {"observations": tables, "identities": [stream_identities(streams, tables), others]}
        return finish(pieces, log, accepted)

    return decode_without_broken(exports, "StreamMessage", "", decode)


_ENTRIES = {"http": "HttpEntries", "tcp": "TcpEntries"}
_ENTRY = {"http": "HttpEntry", "tcp": "TcpEntry"}
_END = {"http": _HTTP_END, "tcp": _TCP_END}


@dataclass(frozen=True)
class _Entries:
    """All HTTP or all TCP entries of the call, still raw."""

    protocol: str
    groups: Level
    entries: Level
    export_of: np.ndarray

    def place(self, entry: int) -> str:
        group = self.groups.place(int(self.entries.parent[entry]))
        return f"{self.protocol}_logs[{group}].log_entry[{self.entries.place(entry)}]"

    def observations(self, log: RejectLog, streams: Streams) -> Iterator[tuple[pa.Table, pa.Table, int]]:
        """Yield (rows, what they tell of others, how many entries were accepted without becoming one)."""
        raw, numbers = self.entries.raw, np.arange(len(self.export_of))
        sizes = np.diff(offsets_of(raw))
        large = sizes > limits.RECORD_BYTES
        excess = over_limit(self.export_of, limits.RECORDS_PER_EXPORT)
        bounds: list[ids.Fault] = [
            ("bytes", large, lambda row: (f"are {sizes[row]}, at most {limits.RECORD_BYTES} are read", "")),
            ("index", excess, lambda _: (f"is past {limits.RECORDS_PER_EXPORT} entries in one message", "")),
        ]
        bad = reject_marked(log, self.export_of, self.place, bounds)
        if bad.any():
            numbers, raw = numbers[~bad], raw.filter(pa.array(~bad))
        for start, end in chunks(raw, limits.CHUNK_BYTES_RAW):
            chosen = numbers[start:end]
            rows = parse(_ENTRY[self.protocol], raw.slice(start, end - start), self.export_of[chosen])
            yield self._rows(log, streams, chosen, rows)

    def _rows(
        self, log: RejectLog, streams: Streams, entries: np.ndarray, rows: pa.RecordBatch
    ) -> tuple[pa.Table, pa.Table, int]:
        common = rows.column("common")
        kind = common.field("access_log_type").to_numpy()
        partial = common.field("intermediate_log_entry").to_numpy(zero_copy_only=False)
        ended = (kind == _END[self.protocol]) | ((kind == 0) & ~partial)
        _, untimed = cols.start_micros(common.field("start_time"))
        fault: ids.Fault = (
            "common_properties.start_time",
            untimed & ended,
            lambda row: ("is missing or out of range, expected a time after 1970", ""),
        )
        place = entries.astype(np.int64)
        bad = reject_marked(log, self.export_of[entries], lambda row: self.place(int(place[row])), [fault])
        export_of = self.export_of[entries]
        try:
            table, said = self._table(rows, streams, export_of)
        except BrokenExports:
            reasons = broken_inside(_ENTRY[self.protocol], rows.to_struct_array(), export_of)
            raise BrokenExports(reasons) from None
        keep = ended & ~bad
        # Only now: what is broken in an entry refuses its message, also where the entry would make no row.
        if not keep.all():
            table, said = table.filter(pa.array(keep)), [one.filter(pa.array(keep)) for one in said]
        told = peers.peer_identities(table, said[0], said[1], streams.clusters(export_of[keep]))
        return table, told, int((~ended).sum())

    def _table(
        self, rows: pa.RecordBatch, streams: Streams, export_of: np.ndarray
    ) -> tuple[pa.Table, list[pa.Array]]:
        """All entries as rows, and what each says of whom it called and who called it. Raises BrokenExports."""
        parts: list[cols.Part] = []
        columns = _common_columns(rows.column("common"), streams, export_of, parts)
        own = _http_columns if self.protocol == "http" else _tcp_columns
        columns |= own(rows, export_of, columns, parts)
        columns["attributes"] = cols.merged(rows.num_rows, parts)
        return table_of(OBSERVATIONS, columns), [columns[name] for name in peers.KEYS]


def _common_columns(
    common: pa.StructArray, streams: Streams, export_of: np.ndarray, parts: list[cols.Part]
) -> dict[str, pa.Array]:
    """What HTTP and TCP entries share; the rest goes to ``parts`` of the attributes."""
    started, _ = cols.start_micros(common.field("start_time"))
    direct, remote, local, upstream, upstream_local = cols.addresses(common, _ADDRESSES, export_of)
    # Port 0: taken from X-Forwarded-For.
    source = pc.coalesce(direct.text, pc.if_else(pa.array(remote.port != 0), remote.text, NULL))
    cluster = null_if_empty(pc.utf8_rtrim(cols.text_of(common, "upstream_cluster"), ";"))
    tls = cols.tls(common.field("tls_properties"), export_of)
    attempts = common.field("upstream_request_attempt_count")
    unknown = pc.and_(pc.equal(attempts, 0), pc.is_valid(upstream.text))  # an Envoy that does not count
    reporter = _reporter(cluster, source, streams, export_of)
    # The certificates are of the downstream side: ours stands for the destination only where the
    # connection was to the destination.
    arrived = pc.is_in(reporter, pa.array(["destination", "waypoint"]))
    last = cols.micros(common.field("time_to_last_downstream_tx_byte"))
    tags = cols.StringMap(common.field("custom_tags"), export_of, _TAG_KEYS)
    columns: dict[str, pa.Array] = {
        "export": pa.array(export_of),
        "time": pa.array(started).cast(MOMENT),
        "duration_us": pc.coalesce(cols.micros(common.field("duration")), last),
        "reporter": reporter,
        "signal": pa.repeat("als", len(export_of)),
        "emitter": streams.emitters(export_of),
        "route": cols.text_of(common, "route_name"),
        "response_flags": cols.response_flags(common.field("response_flags"), export_of),
        "upstream_cluster": cluster,
        "source_address": source,
        "upstream_address": upstream.text,
        "upstream_local_address": upstream_local.text,
        "downstream_local_address": local.text,
        "sni": tls.sni,
        "source_principal": tls.peer,
        "destination_principal": pc.if_else(arrived, tls.local, NULL),
        "attempts": pc.if_else(unknown, pa.scalar(None, pa.uint32()), attempts).cast(pa.int32(), safe=False),
        "tls": tls.kind,
        "tagged_trace_id": tags.text("trace_id", promote=False),
        "tagged_span_id": tags.text("span_id", promote=False),
        "stream_id": cols.text_of(common, "stream_id"),
    }
    columns |= {name: cols.micros(common.field(field)) for name, field in _TIMES.items()}
    parts.append(tags.rest())
    parts.extend(cols.constant_part(name, cols.text_of(common, name)) for name in _SAID_APART)
    metadata, objects = (
        common.field("metadata").field("filter_metadata"),
        common.field("filter_state_objects"),
    )
    parts.append(cols.StringMap(metadata, export_of, _NO_KEYS, "metadata.", cols.structs_text).rest())
    state = cols.StringMap(objects, export_of, _STATE_KEYS, "filter_state.", cols.objects_text)
    parts.append(state.rest())
    columns |= {name: state.coded(name, f"wasm.{name}") for name in peers.KEYS}
    return columns


def _reporter(
    cluster: pa.StringArray, source: pa.StringArray, streams: Streams, export_of: np.ndarray
) -> pa.StringArray:
    kinds = {"router": "gateway", "waypoint": "waypoint"}
    by_kind = streams.texts([kinds.get(node.node_type or "") for node in streams.nodes], export_of)
    by_cluster = pc.case_when(
        pc.make_struct(
            pc.starts_with(cluster, "inbound-vip|"),
            pc.or_(pc.starts_with(cluster, "inbound|"), pc.starts_with(cluster, "InboundPassthroughCluster")),
        ),
        "waypoint",
        "destination",
    )
    told = pc.coalesce(by_cluster, by_kind, pc.if_else(pc.is_valid(cluster), "source", NULL))
    if not told.null_count:
        return told
    return pc.coalesce(told, pc.if_else(streams.is_own_address(source, export_of), "source", "destination"))


def _http_columns(
    rows: pa.RecordBatch, export_of: np.ndarray, common: dict[str, pa.Array], parts: list[cols.Part]
) -> dict[str, pa.Array]:
    request, response = rows.column("request"), rows.column("response")
    asked = cols.StringMap(request.field("request_headers"), export_of, _REQUEST_KEYS, "http.request.header.")
    answered = cols.StringMap(
        response.field("response_headers"), export_of, _RESPONSE_KEYS, "http.response.header."
    )
    trailed = cols.StringMap(
        response.field("response_trailers"), export_of, _RESPONSE_KEYS, "http.response.trailer."
    )
    request_id = pc.coalesce(cols.text_of(request, "request_id"), asked.text("x-request-id"))
    method = cols.named(request.field("request_method"), cols.METHODS)
    path = pc.coalesce(cols.text_of(request, "original_path"), cols.text_of(request, "path"))
    user_agent = cols.text_of(request, "user_agent")
    version = cols.named(rows.column("protocol_version"), cols.VERSIONS)
    status, _ = integers(pc.coalesce(trailed.text("grpc-status"), answered.text("grpc-status")))
    grpc = [
        pc.is_valid(status),
        pc.starts_with(asked.text("content-type", promote=False), "application/grpc"),
        pc.starts_with(answered.text("content-type", promote=False), "application/grpc"),
        cols.looks_grpc(method, version, user_agent, path),
    ]
    is_grpc = np.logical_or.reduce(
        [pc.fill_null(found, False).to_numpy(zero_copy_only=False) for found in grpc]
    )
    trace = _trace(asked, common)
    forwarded = asked.text("x-forwarded-client-cert", promote=False)
    nearest = pc.struct_field(pc.extract_regex(forwarded, r'.*URI=(?P<uri>[^;,"]+)'), 0)  # greedy: the last
    arrived = pc.equal(common["reporter"], "destination")
    parts += [asked.rest(), answered.rest(), trailed.rest()]
    other_id = pc.not_equal(common["stream_id"], pc.fill_null(request_id, ""))
    parts.append(cols.constant_part("stream_id", pc.if_else(other_id, common["stream_id"], NULL)))
    small = pc.if_else(pc.and_(pc.greater_equal(status, 0), pc.less(status, 1 << 31)), status, None)
    return trace | {
        "protocol": pc.if_else(is_grpc, "grpc", "http"),
        "http_version": version,
        "method": method,
        "authority": cols.text_of(request, "authority"),
        "path": path,
        "status_code": response.field("response_code").field("value").cast(pa.int32(), safe=False),
        "grpc_status": small.cast(pa.int32()),
        "response_code_details": cols.text_of(response, "response_code_details"),
        "request_bytes": _size(request.field("request_body_bytes")),
        "response_bytes": _size(response.field("response_body_bytes")),
        "request_id": request_id,
        "user_agent": user_agent,
        "forwarded_for": cols.text_of(request, "forwarded_for"),
        "source_principal": pc.coalesce(common["source_principal"], pc.if_else(arrived, nearest, NULL)),
    }


def _trace(asked: cols.StringMap, common: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Trace and span id from traceparent, else B3 headers, else custom tags."""
    trace, span, whole = ids.from_traceparent(asked.text("traceparent"))
    short, short_span = asked.text("x-b3-traceid"), asked.text("x-b3-spanid")
    if not whole.all():
        if short.null_count < len(short):  # 64-bit ids are padded on the left
            short = pc.utf8_lpad(short, 32, "0")
        other = ids.from_hex(pc.coalesce(short, common["tagged_trace_id"]), 16)
        other_span = ids.from_hex(pc.coalesce(short_span, common["tagged_span_id"]), 8)
        trace = np.where(whole[:, None], trace, other)
        span = np.where(whole[:, None], span, other_span)
    return {"trace_id": ids.trace_ids(trace)[0], "span_id": ids.span_ids(span)[0]}


def _tcp_columns(
    rows: pa.RecordBatch, _: np.ndarray, common: dict[str, pa.Array], parts: list[cols.Part]
) -> dict[str, pa.Array]:
    count, connection = rows.num_rows, rows.column("connection")
    columns: dict[str, pa.Array] = {
        field.name: pa.nulls(count, field.type) for field in OBSERVATIONS if field.name not in common
    }
    parts.append(cols.constant_part("stream_id", common["stream_id"]))
    columns["protocol"] = pa.repeat("tcp", count)
    # A connection has no response: what Envoy did to it (a denial) is why it ended.
    columns["response_code_details"] = null_if_empty(
        cols.text_of(rows.column("common"), "connection_termination_details")
    )
    columns["request_bytes"] = _size(connection.field("received_bytes"))
    columns["response_bytes"] = _size(connection.field("sent_bytes"))
    return columns


def _size(counts: pa.UInt64Array) -> pa.Int64Array:
    """Byte counts as int64; one past that range is the largest there is."""
    numbers = counts.to_numpy()
    return pa.array(np.minimum(numbers, np.uint64((1 << 63) - 1)).astype(np.int64))
