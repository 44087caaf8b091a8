"""Fields of access-log lines → rows of `observations`: units, addresses, reporter, what is no request.

What must stay true: only the end of a request or connection is a row; ``source_address`` is the *direct*
peer and null where the line shows only X-Forwarded-For (port 0); what a line cannot say is null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import access_log_extras as extras
from collector.decode import ids, limits, peers
from collector.decode.access_log_emitter import ip_of, is_forwarded, is_inbound
from collector.decode.access_log_fields import Reject, text_map
from collector.decode.access_log_values import (
    Mask,
    address,
    by_value,
    cut,
    mask,
    non_negative,
    number,
    plain,
    small,
    typed,
    whole,
    with_moments,
)
from collector.decode.attributes import merge_maps
from collector.decode.text import null_if_empty, offsets_of
from store.schema import OBSERVATIONS

_GRPC_PATH = r"^/[^/?]+/[^/?]+$"
_ENDS = ("DownstreamEnd", "TcpConnectionEnd", "UdpSessionEnd", "NotSet")
_GRPC_NAMES = {
    "ok": 0,
    "canceled": 1,
    "cancelled": 1,
    "unknown": 2,
    "invalidargument": 3,
    "deadlineexceeded": 4,
    "notfound": 5,
    "alreadyexists": 6,
    "permissiondenied": 7,
    "resourceexhausted": 8,
    "failedprecondition": 9,
    "aborted": 10,
    "outofrange": 11,
    "unimplemented": 12,
    "internal": 13,
    "unavailable": 14,
    "dataloss": 15,
    "unauthenticated": 16,
}


@dataclass
class Rows:
    """``observations``: OBSERVATIONS' columns; ``is_tcp``: which rows are connections; ``lines``: whence each;
    ``peers``: what each says of whom it called and who called it; ``skipped``: lines that were start, periodic or
    listener records, no requests."""

    observations: pa.Table
    is_tcp: Mask
    lines: npt.NDArray[np.int64]
    peers: tuple[pa.Array, pa.Array]
    skipped: int = 0
    rejects: list[Reject] = field(default_factory=list)


class Writers(Protocol):
    """Who wrote the rows: the signal they came by, and for each row the writer's name and side."""

    @property
    def signal(self) -> str: ...
    def names(self, columns: dict[str, pa.Array]) -> pa.Array: ...
    def reporters(self, columns: dict[str, pa.Array]) -> pa.Array: ...


def build_rows(fields: pa.Table, writers: Writers) -> Rows:
    """Rows of export 0. An ``Emitter`` must have learned from these fields already."""
    fields, rejects, moments = with_moments(fields)
    columns = {name: whole(fields[name]) for name in fields.column_names}
    columns["flags"] = extras.short_flags(columns)
    code = number(columns["code"])
    nameless = pc.and_(columns["method"].is_null(), columns["protocol"].is_null())
    is_tcp = mask(pc.and_(nameless, pc.fill_null(pc.equal(code, 0), True)))
    ends = _is_end(columns, code, is_tcp)
    skipped = int((~ends).sum())
    if skipped:
        keep = pa.array(ends)
        columns = {name: values.filter(keep) for name, values in columns.items()}
        moments, code, is_tcp = moments.filter(keep), code.filter(keep), is_tcp[ends]
    table = _observations(columns, moments, code, is_tcp, writers)
    upstream, downstream = (columns[name] for name in peers.KEYS)
    return Rows(table, is_tcp, columns["line"].to_numpy(), (upstream, downstream), skipped, rejects)


def _observations(
    columns: dict[str, pa.Array], moments: pa.Array, code: pa.Array, is_tcp: Mask, writers: Writers
) -> pa.Table:
    count = len(moments)
    nothing = pa.scalar(None, pa.string())
    tcp = pa.array(is_tcp)
    remote = columns["downstream_remote"]
    forwarded = pc.fill_null(by_value(is_forwarded, remote), False)
    only_forwarded = cut(pc.if_else(forwarded, null_if_empty(by_value(ip_of, remote)), nothing))
    grpc_status = _grpc_status(columns["grpc_status"])
    trace_ids, span_ids = _trace(columns)
    version = pc.replace_substring(columns["protocol"], "HTTP/", "")
    values: dict[str, pa.Array] = {
        "export": pa.array(np.zeros(count, np.int32)),
        "time": moments,
        "duration_us": extras.durations(columns),
        "reporter": writers.reporters(columns),
        "signal": pa.repeat(writers.signal, count),
        "emitter": writers.names(columns),
        "protocol": _protocol(columns, grpc_status, tcp),
        "http_version": version,
        "method": columns["method"],
        "authority": columns["authority"],
        "path": columns["path"],
        "route": columns["route"],
        "status_code": small(pc.if_else(tcp, pa.scalar(None, pa.int64()), code)),
        "grpc_status": grpc_status,
        "response_flags": pc.fill_null(plain(columns["flags"]), ""),
        # A connection has no response: what Envoy did to it (a denial) is why it ended.
        "response_code_details": pc.coalesce(
            plain(columns["details"]), pc.if_else(tcp, plain(columns["termination"]), nothing)
        ),
        "upstream_cluster": by_value(lambda names: pc.utf8_rtrim(names, ";"), columns["cluster"]),
        "source_address": pc.if_else(forwarded, nothing, address(remote)),
        "upstream_address": address(columns["upstream_host"]),
        "upstream_local_address": address(columns["upstream_local"]),
        "downstream_local_address": address(columns["downstream_local"]),
        "sni": columns["sni"],
        "request_bytes": non_negative(number(columns["received"])),
        "response_bytes": non_negative(number(columns["sent"])),
        "attempts": small(number(columns["attempts"])),
        "request_id": extras.request_ids(columns, tcp),
        "trace_id": trace_ids,
        "span_id": span_ids,
        "tls": _tls(columns),
        "user_agent": columns["user_agent"],
        "forwarded_for": pc.coalesce(plain(columns["forwarded_for"]), only_forwarded),
    }
    values |= extras.times(columns) | extras.principals(columns, values["reporter"])
    values["attributes"] = _attributes(columns, extras.leftovers(columns, values), count)
    arrays = [typed(values.get(one.name), one, count) for one in OBSERVATIONS]
    return pa.Table.from_arrays(arrays, schema=OBSERVATIONS)


def last_of_each_connection(rows: pa.Table) -> pa.Table:
    """TCP rows without the periodic ones: of (downstream address, start) the last one is the connection's
    end, its byte counts are cumulative. Rows of unknown peers all stay."""
    if rows.num_rows < 2:
        return rows
    at = pa.array(np.arange(rows.num_rows))
    peer = pc.coalesce(whole(rows["source_address"]), at.cast(pa.string()))
    keys = pa.table(
        {
            "at": at,
            "peer": peer,
            "time": rows["time"],
            "emitter": rows["emitter"],
            "local": rows["downstream_local_address"],
        }
    )
    last = keys.group_by(["peer", "time", "emitter", "local"], use_threads=False).aggregate([("at", "max")])
    chosen = np.sort(last["at_max"].to_numpy())
    return rows if len(chosen) == rows.num_rows else rows.take(pa.array(chosen))


def _is_end(columns: dict[str, pa.Array], code: pa.Array, is_tcp: Mask) -> Mask:
    """Not a start or periodic record, not a listener's record of an HTTP connection.

    Without ``access_log_type`` they are known by their emptiness: no code, no flags, no details. A listener
    writes ``"- - HTTP/1.1" 0``: a protocol, but never a method.
    """
    nothing_said = pc.and_(columns["flags"].is_null(), columns["details"].is_null())
    no_code = pc.fill_null(pc.equal(code, 0), True)
    unmarked = columns["log_type"].is_null()
    empty = mask(pc.and_(pc.and_(no_code, unmarked), pc.or_(nothing_said, columns["method"].is_null())))
    said_end = mask(pc.or_(unmarked, pc.is_in(columns["log_type"], pa.array(_ENDS))))
    return said_end & ~(empty & ~is_tcp)


def _protocol(columns: dict[str, pa.Array], grpc_status: pa.Array, tcp: pa.Array) -> pa.Array:
    """gRPC by its status where a form shows it, else by HTTP/2 POST /SERVICE/METHOD from a gRPC client."""
    client = pc.and_(
        pc.fill_null(by_value(lambda agents: pc.starts_with(agents, "grpc-"), columns["user_agent"]), False),
        pc.fill_null(
            pc.and_(pc.equal(columns["protocol"], "HTTP/2"), pc.equal(columns["method"], "POST")), False
        ),
    )
    if pc.any(client).as_py():
        like_method = pc.match_substring_regex(columns["path"].filter(client), _GRPC_PATH)
        client = pc.replace_with_mask(client, client, pc.fill_null(like_method, False))
    is_grpc = pc.or_(client, grpc_status.is_valid())
    return pc.if_else(tcp, "tcp", pc.if_else(is_grpc, "grpc", "http"))


def _grpc_status(values: pa.Array) -> pa.Array:
    """``14``, ``Unavailable``, ``UNAVAILABLE``: all three spellings of Envoy."""
    if values.null_count == len(values):
        return pa.nulls(len(values), pa.int32())
    codes = values.cast(pa.string()).dictionary_encode()
    numbers: list[int | None] = []
    for text in codes.dictionary.to_pylist():
        name = text.replace("_", "").lower()
        numbers.append(
            int(name) if name.isascii() and name.isdigit() and len(name) < 9 else _GRPC_NAMES.get(name)
        )
    return pa.array(numbers, pa.int32()).take(codes.indices)


def _tls(columns: dict[str, pa.Array]) -> pa.Array:
    """The caller's certificate proves mutual TLS, and so does Istio's own SNI on an inbound row; nothing else does."""
    istio = pc.and_(
        pc.fill_null(by_value(lambda names: pc.starts_with(names, "outbound_."), columns["sni"]), False),
        pc.fill_null(by_value(is_inbound, columns["cluster"]), False),
    )
    proven = pc.or_(istio, columns["peer_san"].is_valid())
    return pc.if_else(proven, "mutual", pa.scalar(None, pa.string()))


def _trace(columns: dict[str, pa.Array]) -> tuple[pa.Array, pa.Array]:
    trace, span, parent = (columns[name] for name in ("trace_id", "span_id", "traceparent"))
    if trace.null_count == span.null_count == parent.null_count == len(trace):
        return pa.nulls(len(trace), ids.TRACE_ID), pa.nulls(len(trace), pa.uint64())
    texts = [one.cast(pa.string()) for one in (trace, span, parent)]
    trace = pc.coalesce(texts[0], pc.utf8_slice_codeunits(texts[2], 3, 35))
    span = pc.coalesce(texts[1], pc.utf8_slice_codeunits(texts[2], 36, 52))
    short = pc.fill_null(pc.equal(pc.binary_length(trace), 16), False)  # Zipkin's 64 bits
    trace = pc.if_else(short, pc.binary_join_element_wise("0" * 16, trace, ""), trace)
    return ids.trace_ids(ids.from_hex(trace, 16))[0], ids.span_ids(ids.from_hex(span, 8))[0]


def _attributes(columns: dict[str, pa.Array], more: dict[str, pa.Array], count: int) -> pa.Array:
    named = more | {
        "upstream_service_time": columns["service_time"],
        "connection_termination_details": columns["termination"],
        "upstream_transport_failure_reason": columns["failure"],
    }
    named = {
        name: cut(values.cast(pa.string())) for name, values in named.items() if values.null_count < count
    }
    extra = columns["extra"]
    if extra.null_count == count:
        return text_map(named, count)
    keys, values = cut(_flat(extra, "keys"), limits.NAME_BYTES), cut(_flat(extra, "items"))
    theirs = (_rows_of(extra), keys, pc.fill_null(values, ""))
    ours = text_map(named, count)
    return merge_maps(count, [(_rows_of(ours), _flat(ours, "keys"), _flat(ours, "items")), theirs])


def _rows_of(maps: pa.MapArray) -> npt.NDArray[np.int32]:
    return np.repeat(np.arange(len(maps), dtype=np.int32), np.diff(offsets_of(maps)))


def _flat(maps: pa.MapArray, part: str) -> pa.StringArray:
    """All keys or all items of the rows, one after the other (a slice's only)."""
    offsets = offsets_of(maps)
    return getattr(maps, part)[offsets[0] : offsets[-1]]
