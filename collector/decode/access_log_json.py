"""JSON access logs (Istio's and any Envoy's with the usual key names): lines → fields.

A chunk is read at once with types taken from its first lines. Where that fails (a broken line, a number
where others have text) the chunk is halved until the trouble is alone; only what is left then is read
line by line. What must stay true: one line is one row, whatever it holds, and a broken line costs its
neighbours nothing.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from collector.decode.access_log_fields import (
    Lines,
    ParsedLines,
    Reject,
    fields_table,
    join_fields,
    reject,
    text_map,
)

KEYS: dict[str, tuple[str, ...]] = {
    "time": ("start_time",),
    "method": ("method", ":method"),
    "path": ("x-envoy-origin-path", "x-envoy-original-path", "path", ":path"),
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
    "upstream_host": ("upstream_host",),
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
}
_KNOWN = {key: name for name, keys in KEYS.items() for key in keys}
_NUMBERS = {"code", "received", "sent", "duration", "service_time", "grpc_status", "attempts"}
_ALONE = 16  # lines read one by one once halving has come down to this
_LOOKED_AT = 8  # lines whose types are taken for the chunk's
_EXTRA_KEYS_MAX = 128

NOT_A_LINE = "not an access-log line: a JSON object with start_time and response_code was expected"


def parse_json(texts: pa.StringArray, lines: Lines) -> ParsedLines:
    """Lines that begin with ``{``, prefixes already taken off."""
    whole = pc.and_(pc.starts_with(texts, "{"), pc.ends_with(texts, "}"))
    pieces: list[pa.Table] = []
    rejects: list[Reject] = []
    if not pc.all(whole).as_py():
        torn = pa.array(np.flatnonzero(~whole.to_numpy(zero_copy_only=False)))
        _one_by_one(texts.take(torn), lines[torn.to_numpy()], pieces, rejects)
        keep = whole.to_numpy(zero_copy_only=False)
        texts, lines = texts.filter(whole), lines[keep]
    _parse(texts, lines, pieces, rejects)
    rejects.sort(key=lambda one: one.line)
    return ParsedLines(join_fields(pieces), rejects)


def _parse(texts: pa.StringArray, lines: Lines, pieces: list[pa.Table], rejects: list[Reject]) -> None:
    if not len(texts):
        return
    if len(texts) <= _ALONE:
        _one_by_one(texts, lines, pieces, rejects)
        return
    table = _read_whole(texts)
    if table is None:
        half = len(texts) // 2
        _parse(texts[:half], lines[:half], pieces, rejects)
        _parse(texts[half:], lines[half:], pieces, rejects)
        return
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    _keep_records(columns, texts, lines, pieces, rejects)


def _read_whole(texts: pa.StringArray) -> pa.Table | None:
    """All lines at once, or None if they are not all of one form."""
    body = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), "\n")[0].as_buffer()
    read = pa.json.ReadOptions(use_threads=False, block_size=len(body) + 64)
    parse = pa.json.ParseOptions(explicit_schema=_schema(texts[:_LOOKED_AT].to_pylist()))
    try:
        table = pa.json.read_json(pa.BufferReader(body), read, parse)
    except (pa.ArrowException, OverflowError):
        return None
    fits = table.num_rows == len(texts) and table.num_columns <= len(_KNOWN) + _EXTRA_KEYS_MAX
    return table if fits else None


def _schema(samples: list[str]) -> pa.Schema:
    """Types of the known keys as the first lines have them; a number without a value there may be either."""
    types: dict[str, pa.DataType] = {}
    for key, value in ((key, value) for sample in samples for key, value in _load(sample)[0].items()):
        if key not in _KNOWN or isinstance(value, bool | dict | list):
            continue
        if isinstance(value, int | float):
            types[key] = pa.int64() if isinstance(value, int) else pa.float64()
        elif value is not None or _KNOWN[key] not in _NUMBERS:
            types.setdefault(key, pa.string())
    return pa.schema(list(types.items()))


def _one_by_one(texts: pa.StringArray, lines: Lines, pieces: list[pa.Table], rejects: list[Reject]) -> None:
    records: list[dict[str, Any]] = []
    kept: list[int] = []
    for position, text in enumerate(texts.to_pylist()):
        record, reason = _load(text)
        if reason:
            rejects.append(reject(lines[position], reason, text))
        else:
            records.append(record)
            kept.append(position)
    if not records:
        return
    names = list(dict.fromkeys(key for record in records for key in record))
    columns = {name: pa.array([_text(one.get(name)) for one in records], pa.string()) for name in names}
    _keep_records(columns, texts.take(pa.array(kept)), lines[kept], pieces, rejects)


def _load(text: str) -> tuple[dict[str, Any], str]:
    """The object, or why it is none."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, f"not JSON: {error}"
    return (record, "") if isinstance(record, dict) else ({}, NOT_A_LINE)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    return value.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate has no UTF-8


def _keep_records(
    columns: dict[str, pa.Array],
    texts: pa.StringArray,
    lines: Lines,
    pieces: list[pa.Table],
    rejects: list[Reject],
) -> None:
    """Sort columns into fields and extras; records that are no access-log lines are refused."""
    fields: dict[str, pa.Array] = {}
    for name, keys in KEYS.items():
        found = [_scalar(columns[key]) for key in keys if key in columns]
        if found:
            fields[name] = found[0] if len(found) == 1 else _first_of(found)
    extra = {
        key: _extra_text(values)
        for key, values in list(columns.items())[: len(_KNOWN) + _EXTRA_KEYS_MAX]
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
    pieces.append(table)


def _why_not(text: str) -> str:
    record = _load(text)[0]
    if "DownstreamStatus" in record or "RequestMethod" in record:
        return "a Traefik access log; this format cannot be imported yet"
    if record.get("scope") == "access":
        return "a ztunnel access log; this format cannot be imported yet"
    if "response_code" in record and not record.get("start_time"):
        return "no start_time in the object"
    return NOT_A_LINE


def _scalar(values: pa.Array) -> pa.Array:
    """Text and numbers as they are; anything else as text."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_int64(kind) or pa.types.is_float64(kind):
        return values
    return _extra_text(values)


def _extra_text(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_nested(kind) or pa.types.is_temporal(kind):
        return pa.array([_text(_plain(value)) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value)


def _first_of(arrays: list[pa.Array]) -> pa.Array:
    texts = [array if pa.types.is_string(array.type) else array.cast(pa.string()) for array in arrays]
    without_dash = [pc.if_else(pc.equal(one, "-"), pa.scalar(None, pa.string()), one) for one in texts]
    return pc.coalesce(*without_dash)
