"""JSON access logs (Istio's and any Envoy's with the usual key names): lines → fields.

What must stay true: one line is one row, whatever else it holds; keys that are none of these are kept.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_fields import (
    OWN_FIELDS,
    TIMES_MS,
    TIMES_US,
    Lines,
    ParsedLines,
    Reject,
    fields_table,
    join_fields,
    reject,
    text_map,
)
from collector.decode.json_objects import (
    EXTRA_KEYS_MAX,
    Objects,
    Vocabulary,
    as_text,
    load_object,
    read_objects,
    scalar,
)

# Istio's names, Envoy Gateway's, and the operators' own in lower case. The first a line has a value for wins.
KEYS: dict[str, tuple[str, ...]] = {
    "time": ("start_time", "@timestamp", "timestamp", "time"),
    "method": ("method", ":method"),
    "path": ("x-envoy-origin-path", "x-envoy-original-path", "path", ":path", "req_without_query"),
    "protocol": ("protocol",),
    "code": ("response_code",),
    "flags": ("response_flags",),
    "details": ("response_code_details",),
    "termination": ("connection_termination_details",),
    "failure": ("upstream_transport_failure_reason",),
    "received": ("bytes_received",),
    "sent": ("bytes_sent",),
    "duration": ("duration",),
    "service_time": ("upstream_service_time", "x-envoy-upstream-service-time"),
    "forwarded_for": ("x_forwarded_for", "x-forwarded-for"),
    "user_agent": ("user_agent", "user-agent"),
    "request_id": ("request_id", "x-request-id"),
    "authority": ("authority", ":authority"),
    "upstream_host": ("upstream_host", "upstream_remote_address"),
    "cluster": ("upstream_cluster", "upstream_cluster_raw"),
    "upstream_local": ("upstream_local_address",),
    "downstream_local": ("downstream_local_address",),
    "downstream_remote": ("downstream_remote_address",),
    "sni": ("requested_server_name",),
    "route": ("route_name",),
    "grpc_status": ("grpc_status_number", "grpc_status"),
    "attempts": ("upstream_request_attempt_count", "attempts"),
    "trace_id": ("trace_id",),
    "span_id": ("span_id",),
    "traceparent": ("traceparent",),
    "log_type": ("access_log_type",),
    "flags_long": ("response_flags_long",),
    "direct_remote": ("downstream_direct_remote_address",),
    "stream_id": ("stream_id",),
    "peer_san": ("downstream_peer_uri_san",),
    "local_san": ("downstream_local_uri_san",),
    "upstream_san": ("upstream_peer_uri_san",),
    "forwarded_cert": ("x-forwarded-client-cert", "x_forwarded_client_cert", "xfcc"),
    "upstream_peer": ("upstream_peer", "wasm.upstream_peer"),
    "downstream_peer": ("downstream_peer", "wasm.downstream_peer"),
    "duration_us": ("duration_us",),
    **{name: (name,) for name in (*TIMES_US, *TIMES_MS)},
}
_KNOWN = {key: name for name, keys in KEYS.items() for key in keys}
_NUMBERS = {"code", "received", "sent", "duration", "service_time", "grpc_status", "attempts", "duration_us"}
_NUMBERS |= {*TIMES_US, *TIMES_MS}

NOT_A_LINE = "not an access-log line: a JSON object with start_time and response_code was expected"
_VOCABULARY = Vocabulary(
    frozenset(_KNOWN), frozenset(key for key, name in _KNOWN.items() if name in _NUMBERS), NOT_A_LINE
)


def parse_json(texts: pa.StringArray, lines: Lines) -> ParsedLines:
    """Lines that begin with ``{``, prefixes already taken off."""
    pieces, rejects = read_objects(texts, lines, _VOCABULARY)
    tables = [_fields(piece, rejects) for piece in pieces]
    rejects.sort(key=lambda one: one.line)
    return ParsedLines(join_fields(tables), rejects)


def _fields(objects: Objects, rejects: list[Reject]) -> pa.Table:
    """Its columns sorted into fields and extras; records that are no access-log lines are refused."""
    columns, texts, lines = objects.columns, objects.texts, objects.lines
    fields: dict[str, pa.Array] = {}
    for name, keys in KEYS.items():
        found = [scalar(columns[key]) for key in keys if key in columns]
        if found:
            values = found[0] if len(found) == 1 else _first_of(found)
            is_coded = name not in OWN_FIELDS and pa.types.is_string(values.type)
            fields[name] = values.dictionary_encode() if is_coded else values
    extra = {
        key: as_text(values)
        for key, values in list(columns.items())[: len(_KNOWN) + EXTRA_KEYS_MAX]
        if key not in _KNOWN
    }
    table = fields_table(fields, lines, text_map(extra, len(lines)) if extra else None)
    is_line = pc.and_(
        table["time"].is_valid(), pc.or_(table["code"].is_valid(), table["downstream_remote"].is_valid())
    ).combine_chunks()
    if not pc.all(is_line).as_py():
        for position in np.flatnonzero(~is_line.to_numpy(zero_copy_only=False)).tolist():
            text = texts[position].as_py()
            rejects.append(reject(lines[position], _why_not(text), text))
        table = table.filter(is_line)
    return table


def _why_not(text: str) -> str:
    record = load_object(text, NOT_A_LINE)[0]
    if "DownstreamStatus" in record or "RequestMethod" in record:
        return "a Traefik access log; this format cannot be imported yet"
    if record.get("scope") == "access":
        return "a ztunnel access log: --format ztunnel reads it"
    if "response_code" in record and not record.get("start_time"):
        return "no start_time in the object"
    return NOT_A_LINE


def _first_of(arrays: list[pa.Array]) -> pa.Array:
    texts = [array if pa.types.is_string(array.type) else array.cast(pa.string()) for array in arrays]
    without_dash = [pc.if_else(pc.equal(one, "-"), pa.scalar(None, pa.string()), one) for one in texts]
    return pc.coalesce(*without_dash)
