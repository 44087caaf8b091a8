"""OTLP's JSON form → the same tables, by way of the protobuf bytes it stands for.

OTLP's JSON is protobuf's with one exception that costs data silently if it is missed: ids are hex, not
base64. What must stay true: unknown fields are ignored; numbers may be strings, enums numbers or
names; an error names the field; Python works per record here, so a body's size is bounded.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode import limits
from collector.decode.otlp_logs import decode_logs
from collector.decode.otlp_metrics import decode_metrics
from collector.decode.otlp_traces import decode_traces
from collector.decode.types import Decoded, Export, Refusal

_ID_FIELDS = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}
_BAD_DATA = (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError, RecursionError)


def decode_traces_json(exports: Sequence[Export]) -> Decoded:
    """Decode ExportTraceServiceRequest bodies in JSON. Never raises for bad data."""
    return _decode(exports, ExportTraceServiceRequest, decode_traces)


def decode_logs_json(exports: Sequence[Export]) -> Decoded:
    """Decode ExportLogsServiceRequest bodies in JSON. Never raises for bad data."""
    return _decode(exports, ExportLogsServiceRequest, decode_logs)


def decode_metrics_json(exports: Sequence[Export]) -> Decoded:
    """Decode ExportMetricsServiceRequest bodies in JSON. Never raises for bad data."""
    return _decode(exports, ExportMetricsServiceRequest, decode_metrics)


def _decode(
    exports: Sequence[Export], request: type[Message], decode: Callable[[Sequence[Export]], Decoded]
) -> Decoded:
    refused: dict[int, Refusal] = {}
    converted = []
    for index, export in enumerate(exports):
        found = to_protobuf(export.body, request)
        if isinstance(found, Refusal):
            refused[index], found = found, b""  # an empty body keeps the numbers of the others
        converted.append(replace(export, body=found))
    decoded = decode(converted)
    decoded.refused |= refused
    return decoded


def to_protobuf(body: bytes, request: type[Message]) -> bytes | Refusal:
    """The protobuf bytes of one JSON request, or why it is none."""
    if len(body) > limits.JSON_BYTES:
        return Refusal(f"a JSON body of {len(body)} bytes, at most {limits.JSON_BYTES} are read", None)
    try:
        tree = json.loads(body.decode("utf-8-sig", "replace"))
        if not isinstance(tree, dict):
            return Refusal(f"expected a JSON object, found {type(tree).__name__}", 0)
        message = json_format.ParseDict(_prepared(tree), request(), ignore_unknown_fields=True)
        return message.SerializeToString()
    except json.JSONDecodeError as error:
        return Refusal(f"no JSON: {error.msg} at character {error.pos}", error.pos)
    except RecursionError:
        return Refusal("JSON nested too deep", None)
    except OverflowError:  # which protobuf's reader lets through without the field's name
        return Refusal(f"no such request: {_out_of_range(tree)} is a number out of range", None)
    except _BAD_DATA as error:
        return Refusal(f"no such request: {str(error)[:500]}", None)


def _out_of_range(tree: dict[str, Any]) -> str:
    """The path of a number that no double can hold: the reader says only that there is one."""
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            waiting += [(f"{path}.{key[:100]}"[-500:], value) for key, value in node.items()]
        elif isinstance(node, list):
            waiting += [(f"{path}[{index}]"[-500:], value) for index, value in enumerate(node)]
        elif isinstance(node, float | int) and abs(node) >= 1 << 1024:
            return path.removeprefix(".")
    return "a field"


def _prepared(tree: dict[str, Any]) -> dict[str, Any]:
    """Ids from hex to the base64 that protobuf's JSON has, lone surrogates to U+FFFD; in place.

    A key that is not ASCII is no field of ours, and a lone surrogate in one breaks protobuf's reader.
    """
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for key in [key for key in node if not key.isascii()]:
                del node[key]
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(value, dict | list):
                waiting.append(value)
            elif isinstance(value, str):
                if key in _ID_FIELDS:
                    node[key] = base64.b64encode(_from_hex(value)).decode()
                elif not value.isascii():
                    node[key] = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return tree


def _from_hex(text: str) -> bytes:
    """An id's bytes; what is no hex becomes bytes of a length no id has, so that its record is rejected."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b"not hexadecimal: " + text[:64].encode("utf-8", "replace")
