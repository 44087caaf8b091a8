"""The narrowed protobuf descriptors: only the fields we keep, text declared as bytes.

The wire skips what is not declared, which is most of the speed; and Envoy copies header bytes into
OTLP strings, so a declared ``string`` would let one odd user agent reject a whole batch.
Records are declared as ``raw`` bytes in their parents: an export is opened level by level, so that a
hostile one can be bounded before it is expanded. What must stay true: field numbers are those of
opentelemetry-proto v1 and of envoy/data/accesslog/v3 (reference/telemetry.md §1.7).

A field is ``name: (number, type)``. ``*`` repeated, ``?`` with presence (null when absent),
``raw:X`` the bytes of an X that a later call opens. Plain messages are null when absent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import ptars
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "sidelight.narrow"

_OTLP: dict[str, dict[str, tuple[int, str]]] = {
    # The three requests share their envelope: Request > Group (resource) > Scoped > record.
    "Group": {"resource": (1, "raw:Resource"), "scoped": (2, "raw:Scoped*"), "schema_url": (3, "bytes")},
    "Resource": {"attributes": (1, "KeyValue*"), "dropped_attributes_count": (2, "uint32")},
    "Scoped": {"scope": (1, "raw:Scope"), "records": (2, "raw*"), "schema_url": (3, "bytes")},
    "Request": {"groups": (1, "raw:Group*")},
    "Scope": {"name": (1, "bytes"), "version": (2, "bytes"), "attributes": (3, "KeyValue*")},
    "KeyValue": {"key": (1, "bytes"), "value": (2, "AnyValue")},
    "AnyValue": {
        "string_value": (1, "bytes?"),
        "bool_value": (2, "bool?"),
        "int_value": (3, "int64?"),
        "double_value": (4, "double?"),
        "array_value": (5, "raw:ArrayValue?"),
        "kvlist_value": (6, "raw:KeyValueList?"),
        "bytes_value": (7, "bytes?"),
    },
    "ArrayValue": {"values": (1, "raw:AnyValue*")},
    "KeyValueList": {"values": (1, "KeyValue*")},
    "Span": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "trace_state": (3, "bytes"),
        "parent_span_id": (4, "bytes"),
        "name": (5, "bytes"),
        "kind": (6, "int32"),
        "start_time_unix_nano": (7, "fixed64"),
        "end_time_unix_nano": (8, "fixed64"),
        "attributes": (9, "raw:KeyValue*"),
        "dropped_attributes_count": (10, "uint32"),
        "events": (11, "Event*"),
        "dropped_events_count": (12, "uint32"),
        "links": (13, "Link*"),
        "dropped_links_count": (14, "uint32"),
        "status": (15, "Status"),
        "flags": (16, "fixed32"),
    },
    "Event": {
        "time_unix_nano": (1, "fixed64"),
        "name": (2, "bytes"),
        "attributes": (3, "KeyValue*"),
        "dropped_attributes_count": (4, "uint32"),
    },
    "Link": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "trace_state": (3, "bytes"),
        "attributes": (4, "KeyValue*"),
        "dropped_attributes_count": (5, "uint32"),
        "flags": (6, "fixed32"),
    },
    "Status": {"message": (2, "bytes"), "code": (3, "int32")},
    "LogRecord": {
        "time_unix_nano": (1, "fixed64"),
        "severity_number": (2, "int32"),
        "severity_text": (3, "bytes"),
        "body": (5, "AnyValue"),
        "attributes": (6, "raw:KeyValue*"),
        "dropped_attributes_count": (7, "uint32"),
        "flags": (8, "fixed32"),
        "trace_id": (9, "bytes"),
        "span_id": (10, "bytes"),
        "observed_time_unix_nano": (11, "fixed64"),
        "event_name": (12, "bytes"),
    },
    "Metric": {
        "name": (1, "bytes"),
        "description": (2, "bytes"),
        "unit": (3, "bytes"),
        "gauge": (5, "Points"),
        "sum": (7, "Points"),
        "histogram": (9, "Points"),
        "exponential_histogram": (10, "Points"),
        "summary": (11, "Points"),
        "metadata": (12, "KeyValue*"),
    },
    "Points": {"points": (1, "raw*"), "temporality": (2, "int32"), "monotonic": (3, "bool")},
    "NumberPoint": {
        "start_time_unix_nano": (2, "fixed64"),
        "time_unix_nano": (3, "fixed64"),
        "as_double": (4, "double?"),
        "exemplars": (5, "Exemplar*"),
        "as_int": (6, "sfixed64?"),
        "attributes": (7, "KeyValue*"),
        "flags": (8, "uint32"),
    },
    "HistogramPoint": {
        "start_time_unix_nano": (2, "fixed64"),
        "time_unix_nano": (3, "fixed64"),
        "count": (4, "fixed64"),
        "sum": (5, "double?"),
        "bucket_counts": (6, "fixed64*"),
        "bounds": (7, "double*"),
        "exemplars": (8, "Exemplar*"),
        "attributes": (9, "KeyValue*"),
        "flags": (10, "uint32"),
        "min": (11, "double?"),
        "max": (12, "double?"),
    },
    "ExponentialPoint": {
        "attributes": (1, "KeyValue*"),
        "start_time_unix_nano": (2, "fixed64"),
        "time_unix_nano": (3, "fixed64"),
        "count": (4, "fixed64"),
        "sum": (5, "double?"),
        "scale": (6, "sint32"),
        "zero_count": (7, "fixed64"),
        "positive": (8, "Buckets"),
        "negative": (9, "Buckets"),
        "flags": (10, "uint32"),
        "exemplars": (11, "Exemplar*"),
        "min": (12, "double?"),
        "max": (13, "double?"),
        "zero_threshold": (14, "double"),
    },
    "Exemplar": {
        "time_unix_nano": (2, "fixed64"),
        "as_double": (3, "double?"),
        "span_id": (4, "bytes"),
        "trace_id": (5, "bytes"),
        "as_int": (6, "sfixed64?"),
        "attributes": (7, "KeyValue*"),
    },
    "Buckets": {"offset": (1, "sint32"), "counts": (2, "uint64*")},
    "SummaryPoint": {
        "start_time_unix_nano": (2, "fixed64"),
        "time_unix_nano": (3, "fixed64"),
        "count": (4, "fixed64"),
        "sum": (5, "double"),
        "quantiles": (6, "Quantile*"),
        "attributes": (7, "KeyValue*"),
        "flags": (8, "uint32"),
    },
    "Quantile": {"quantile": (1, "double"), "value": (2, "double")},
}

_DURATION = "Duration"  # absent is null
_ENVOY: dict[str, dict[str, tuple[int, str]]] = {
    "StreamMessage": {
        "identifier": (1, "raw:Identifier?"),
        "http_logs": (2, "raw:HttpEntries*"),
        "tcp_logs": (3, "raw:TcpEntries*"),
    },
    "HttpEntries": {"records": (1, "raw:HttpEntry*")},
    "TcpEntries": {"records": (1, "raw:TcpEntry*")},
    "HttpEntry": {
        "common": (1, "Common"),
        "protocol_version": (2, "int32"),
        "request": (3, "HttpRequest"),
        "response": (4, "HttpResponse"),
    },
    "TcpEntry": {"common": (1, "Common"), "connection": (2, "Connection")},
    "Connection": {"received_bytes": (1, "uint64"), "sent_bytes": (2, "uint64")},
    "HttpRequest": {
        "request_method": (1, "int32"),
        "authority": (3, "bytes"),
        "path": (5, "bytes"),
        "user_agent": (6, "bytes"),
        "forwarded_for": (8, "bytes"),
        "request_id": (9, "bytes"),
        "original_path": (10, "bytes"),
        "request_body_bytes": (12, "uint64"),
        "request_headers": (13, "raw:Entry*"),
    },
    "HttpResponse": {
        "response_code": (1, "UInt32"),
        "response_body_bytes": (3, "uint64"),
        "response_headers": (4, "raw:Entry*"),
        "response_trailers": (5, "raw:Entry*"),
        "response_code_details": (6, "bytes"),
    },
    "UInt32": {"value": (1, "uint32")},
    "Entry": {"key": (1, "bytes"), "value": (2, "bytes")},
    "Common": {
        "downstream_remote_address": (2, "raw:Address"),
        "downstream_local_address": (3, "raw:Address"),
        "tls_properties": (4, "raw:Tls?"),
        "start_time": (5, "Timestamp"),
        "time_to_last_rx_byte": (6, _DURATION),
        "time_to_first_upstream_tx_byte": (7, _DURATION),
        "time_to_last_upstream_tx_byte": (8, _DURATION),
        "time_to_first_upstream_rx_byte": (9, _DURATION),
        "time_to_last_upstream_rx_byte": (10, _DURATION),
        "time_to_first_downstream_tx_byte": (11, _DURATION),
        "time_to_last_downstream_tx_byte": (12, _DURATION),
        "upstream_remote_address": (13, "raw:Address"),
        "upstream_local_address": (14, "raw:Address"),
        "upstream_cluster": (15, "bytes"),
        "response_flags": (16, "raw:Flags"),
        "metadata": (17, "Metadata"),
        "upstream_transport_failure_reason": (18, "bytes"),
        "route_name": (19, "bytes"),
        "downstream_direct_remote_address": (20, "raw:Address"),
        "filter_state_objects": (21, "raw:Entry*"),
        "custom_tags": (22, "raw:Entry*"),
        "duration": (23, _DURATION),
        "upstream_request_attempt_count": (24, "uint32"),
        "connection_termination_details": (25, "bytes"),
        "stream_id": (26, "bytes"),
        "intermediate_log_entry": (27, "bool"),
        "downstream_transport_failure_reason": (28, "bytes"),
        "access_log_type": (33, "int32"),
    },
    "Metadata": {"filter_metadata": (1, "raw:Entry*")},
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "Duration": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "Address": {"socket": (1, "Socket"), "pipe": (2, "Pipe"), "internal": (3, "Internal")},
    "Socket": {"address": (2, "bytes"), "port": (3, "uint32")},
    "Pipe": {"path": (1, "bytes")},
    "Internal": {"listener": (1, "bytes"), "endpoint_id": (2, "bytes")},
    "Tls": {
        "sni": (3, "bytes"),
        "local": (4, "Certificate"),
        "peer": (5, "Certificate"),
    },
    "Certificate": {"san": (1, "San*"), "subject": (2, "bytes")},
    "San": {"uri": (1, "bytes?"), "dns": (2, "bytes?")},
    "Flags": {f"flag_{number}": (number, "bool") for number in range(1, 29) if number != 13}
    | {"unauthorized": (13, "Unauthorized")},
    "Unauthorized": {"reason": (1, "int32")},
    "Identifier": {"node": (1, "Node"), "log_name": (2, "bytes")},
    "Node": {
        "id": (1, "bytes"),
        "cluster": (2, "bytes"),
        "metadata": (3, "raw"),
        "locality": (4, "Locality"),
    },
    "Locality": {"region": (1, "bytes"), "zone": (2, "bytes")},
}

MESSAGES: dict[str, dict[str, tuple[int, str]]] = {**_OTLP, **_ENVOY}
RECORD_TYPES = {"traces": "Span", "logs": "LogRecord", "metrics": "Metric"}

_TYPE = re.compile(r"(?P<raw>raw)?:?(?P<name>\w*)(?P<mark>[*?]?)$")


@dataclass(frozen=True)
class Field:
    """One declared field; ``message`` is the type inside, also where it is read as raw bytes."""

    name: str
    number: int
    scalar: str | None
    message: str | None
    raw: bool
    repeated: bool
    presence: bool


@cache
def fields_of(message: str) -> dict[int, Field]:
    """The declared fields of a message, by field number."""
    fields = {}
    for name, (number, text) in MESSAGES[message].items():
        match = _TYPE.match(text)
        if match is None:
            raise ValueError(f"{message}.{name}: cannot read type {text!r}")
        raw, inner, mark = bool(match["raw"]), match["name"], match["mark"]
        is_message = inner in MESSAGES
        scalar = "bytes" if raw else None if is_message else inner
        fields[number] = Field(
            name, number, scalar, inner if is_message else None, raw, mark == "*", mark == "?"
        )
    return fields


@cache
def _pool() -> tuple[descriptor_pool.DescriptorPool, ptars.HandlerPool]:
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="narrow.proto", package=_PACKAGE, syntax="proto3")
    for name in MESSAGES:
        message = file.message_type.add(name=name)
        for field in fields_of(name).values():
            entry = message.field.add(name=field.name, number=field.number)
            entry.label = kind.LABEL_REPEATED if field.repeated else kind.LABEL_OPTIONAL
            if field.scalar is None:
                entry.type, entry.type_name = kind.TYPE_MESSAGE, f".{_PACKAGE}.{field.message}"
            else:
                entry.type = kind.Type.Value(f"TYPE_{field.scalar.upper()}")
            if field.presence:
                entry.oneof_index, entry.proto3_optional = len(message.oneof_decl), True
                message.oneof_decl.add(name=f"_{field.name}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool, ptars.HandlerPool([pool.FindFileByName(file.name)])


@cache
def handler(message: str) -> Any:
    """The wire-to-Arrow handler of a message: ``array_to_record_batch(BinaryArray)``, a row each."""
    pool, handlers = _pool()
    return handlers.get_for_message(pool.FindMessageTypeByName(f"{_PACKAGE}.{message}"))


@cache
def message_class(message: str) -> Any:
    """The same message for protobuf itself, whose parser bounds how deep groups nest (100)."""
    return message_factory.GetMessageClass(_pool()[0].FindMessageTypeByName(f"{_PACKAGE}.{message}"))
