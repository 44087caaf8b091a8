"""No field of OTLP is lost by oversight: each is stored, or docs/inputs.md says that it is not, and why.

The published descriptors are walked to every leaf; an export with that one field set to a value of its
own is decoded as protobuf and as JSON, and the value has to be among what the tables gained by it.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode.otlp_json import decode_logs_json, decode_metrics_json, decode_traces_json
from collector.decode.otlp_logs import decode_logs
from collector.decode.otlp_metrics import decode_metrics
from collector.decode.otlp_traces import decode_traces
from collector.decode.types import Decoded, Export
from tests.collector.captures import exports

Path_ = tuple[FieldDescriptor, ...]
Decode = Callable[[Sequence[Export]], Decoded]

REQUESTS: dict[str, tuple[type[Message], Decode, Decode, str]] = {
    "traces": (ExportTraceServiceRequest, decode_traces, decode_traces_json, "spans"),
    "logs": (ExportLogsServiceRequest, decode_logs, decode_logs_json, "log_records"),
    "metrics": (ExportMetricsServiceRequest, decode_metrics, decode_metrics_json, "metrics"),
}
START = 1_700_000_000_000_000_000
# What a record needs to be kept at all, and what a field needs beside it to make sense.
BASE: dict[str, dict[str, Any]] = {
    "Span": {"trace_id": b"t" * 16, "span_id": b"s" * 8, "start_time_unix_nano": START},
    "KeyValue": {"key": "k"},
    **{kind: {"time_unix_nano": START} for kind in ("NumberDataPoint", "HistogramDataPoint")},
    **{kind: {"time_unix_nano": START} for kind in ("ExponentialHistogramDataPoint", "SummaryDataPoint")},
}
BESIDE = {"explicit_bounds": {"bucket_counts": [1, 1]}}
ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
DROPPED = dict(
    re.findall(
        r"^\| `(\w+\.\w+)` \| (\S.*) \|$",
        (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)


def leaves(message: Descriptor, path: Path_ = ()) -> Iterator[Path_]:
    """Every way from a request down to a field that is no message; values within values once."""
    for field in message.fields:
        inner = field.message_type
        if inner is None:
            yield (*path, field)
        elif sum(step.message_type is inner for step in path) < (2 if inner.name == "AnyValue" else 1) or (
            inner.name == "KeyValue" and any(step.name == "kvlist_value" for step in path[-2:])
        ):
            yield from leaves(inner, (*path, field))


def is_dropped(path: Path_) -> bool:
    return f"{path[-1].containing_type.name}.{path[-1].name}" in DROPPED


def value_for(field: FieldDescriptor, number: int) -> Any:
    """A value no other field of the export has."""
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.name.endswith("_unix_nano"):
        return START + number * 1000
    kinds = {
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_STRING: f"distinct{number}",
        FieldDescriptor.CPPTYPE_DOUBLE: number + 0.5,
    }
    if field.type == FieldDescriptor.TYPE_BYTES:
        return number.to_bytes(ID_BYTES.get(field.name, 12))
    return kinds.get(field.cpp_type, number * 2)  # even: the lowest flag means "no value recorded"


def build(request: type[Message], path: Path_, value: Any) -> Message:
    """An export with one record, the messages on ``path``, and its last field set unless value is None."""
    message = request()
    at: Any = message
    for step in path[:-1]:
        at = getattr(at, step.name).add() if step.is_repeated else getattr(at, step.name)
        at.SetInParent()
        for name, base in BASE.get(step.message_type.name, {}).items():
            setattr(at, name, base)
    _complete(message, REQUESTS_BY_TYPE[request])
    if value is not None:
        leaf = path[-1]
        for name, beside in BESIDE.get(leaf.name, {}).items():
            getattr(at, name).extend(beside)
        if leaf.is_repeated:
            getattr(at, leaf.name).append(value)
        else:
            setattr(at, leaf.name, value)
    return message


REQUESTS_BY_TYPE = {request: records for request, _, _, records in REQUESTS.values()}


def _complete(message: Message, records: str) -> None:
    """Give the export a record if the path had none, and a metric a point."""
    at: Any = message
    while (field := _lists(at, records)) is not None:
        members = getattr(at, field.name)
        at = members[0] if members else members.add()
        for name, base in BASE.get(field.message_type.name, {}).items():
            if not getattr(at, name):
                setattr(at, name, base)
    if records == "metrics":
        points = getattr(at, at.WhichOneof("data") or "gauge").data_points
        if not points:
            points.add(time_unix_nano=START)


def _lists(message: Any, records: str) -> FieldDescriptor | None:
    wanted = {"resource_spans", "resource_logs", "resource_metrics", "scope_spans", "scope_logs"}
    wanted |= {"scope_metrics", records}
    return next((field for field in message.DESCRIPTOR.fields if field.name in wanted), None)


def as_json(message: Message) -> bytes:
    """OTLP's own JSON: ids in hexadecimal, enums as numbers."""

    def with_hex(node: Any, key: str = "") -> Any:
        if isinstance(node, dict):
            return {name: with_hex(value, name) for name, value in node.items()}
        if isinstance(node, list):
            return [with_hex(value) for value in node]
        return base64.b64decode(node).hex() if key in ("traceId", "spanId", "parentSpanId") else node

    return json.dumps(with_hex(MessageToDict(message, use_integers_for_enums=True))).encode()


Rows = dict[str, list[dict[str, Any]]]  # by table


def rows_of_exports(decoded: Decoded, count: int) -> list[Rows]:
    """What each export became, without the numbers that only say which it was."""
    assert (decoded.refused, decoded.rejected) == ({}, {})
    found: list[Rows] = [{} for _ in range(count)]
    for name, table in decoded.tables.items():
        for row in table.to_pylist():
            row.pop("resource", None)
            found[row.pop("export")].setdefault(name, []).append(row)
    return found


def answers(kind: str) -> list[tuple[Path_, Any, Rows, Rows, Rows]]:
    """For every leaf: its value, the rows without it, with it, and with it from JSON. One decode call each."""
    request, decode, decode_json, _ = REQUESTS[kind]
    paths = list(leaves(request.DESCRIPTOR))  # type: ignore[attr-defined]
    values = [value_for(path[-1], 1_000_003 + number) for number, path in enumerate(paths)]
    bare = [build(request, path, None).SerializeToString() for path in paths]
    full = [build(request, path, value) for path, value in zip(paths, values, strict=True)]
    bodies = (bare, [one.SerializeToString() for one in full], [as_json(one) for one in full])
    decoders = (decode, decode, decode_json)
    rows = [
        rows_of_exports(read(exports(*told)), len(paths)) for read, told in zip(decoders, bodies, strict=True)
    ]
    return list(zip(paths, values, *rows, strict=True))


def told(rows: Rows) -> Counter[Any]:
    """Every value in the rows, however deep, as often as it is there."""
    found: Counter[Any] = Counter()
    waiting: list[Any] = list(rows.values())
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list | tuple):
            waiting.extend(node)
        elif node is not None:
            found[(type(node), node)] += 1
    return found


def is_told(value: Any, field: FieldDescriptor, gained: Counter[Any]) -> bool:
    """Is ``value`` among what the tables gained, in one of the ways they tell such a value?"""
    said = [cell for _, cell in gained]
    texts = " ".join(cell for cell in said if isinstance(cell, str))
    if isinstance(value, bytes):
        ways: list[Any] = [value, int.from_bytes(value)]
        ways += [uuid.UUID(bytes=value)] if len(value) == 16 else []
        return any(way in said for way in ways) or base64.b64encode(value).decode() in texts
    if isinstance(value, bool):
        return True in [cell for kind, cell in gained if kind is bool] or "true" in texts
    if isinstance(value, str):
        return value in texts
    if field.enum_type is not None:
        name = field.enum_type.values_by_number[value].name.rpartition("_")[2].lower()
        return name in said or value in said
    if field.name.endswith("_unix_nano"):
        moment = datetime(1970, 1, 1) + timedelta(microseconds=value // 1000)
        return value in said or value - START in said or moment in said
    return value in said or re.search(rf"\b{value}\b", texts) is not None


@pytest.mark.parametrize("kind", REQUESTS)
def test_every_field_is_stored_or_listed_as_dropped(kind: str) -> None:
    """A field's value is in the tables, the same from protobuf and JSON; a dropped one's is nowhere."""
    wrong = {}
    for path, value, without, with_it, from_json in answers(kind):
        gained = told(with_it) - told(without)
        if is_told(value, path[-1], gained) == is_dropped(path) or from_json != with_it:
            wrong[".".join(step.name for step in path)] = (gained, from_json)
    assert wrong == {}


def test_few_fields_are_dropped_and_all_of_them_exist() -> None:
    """The list in docs/inputs.md has at most ten fields, each published, each with its reason."""
    published = {
        f"{path[-1].containing_type.name}.{path[-1].name}"
        for request, *_ in REQUESTS.values()
        for path in leaves(request.DESCRIPTOR)  # type: ignore[attr-defined]
    }
    assert 0 < len(DROPPED) <= 10
    assert DROPPED.keys() <= published
