"""Bodies as Envoy sends them, serialised before the clock starts; each send differs in a few bytes.

What must stay true: no two bodies sent are the same (the store drops a repeated export), and making
one costs next to nothing, so that the figure is the receiver's.
"""

from __future__ import annotations

import os
import re
import time

import numpy as np
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.lines import captured_lines
from tests.collector.captures import lines

_REQUEST_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class SpanBodies:
    """Export requests of ``spans`` Envoy client spans with 20 attributes; ids are new in each body."""

    def __init__(self, spans: int, caller: str = "productpage") -> None:
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.append(_text("service.name", f"{caller}.default"))
        scope = resource.scope_spans.add()
        scope.scope.name = "envoy"
        scope.scope.version = "1.40.0"
        ids = []
        for number in range(spans):
            span = _envoy_span(number, caller)
            ids += [span.trace_id, span.span_id]
            scope.spans.append(span)
        body = request.SerializeToString()
        self._body = np.frombuffer(body, np.uint8).copy()
        places = [np.arange(at, at + len(one)) for one in ids if (at := body.index(one)) >= 0]
        self._places = np.concatenate(places)

    def next(self) -> bytes:
        self._body[self._places] = np.frombuffer(os.urandom(len(self._places)), np.uint8)
        return self._body.tobytes()


def _envoy_span(number: int, caller: str) -> Span:
    now = time.time_ns() - 2_000_000_000 + number * 1_000_000
    code = "503" if number % 50 == 0 else "200"
    version = ("v1", "v1", "v1", "v1", "v1", "v1", "v1", "v1", "v2", "v3")[number % 10]
    attributes = {
        "node_id": f"sidecar~127.42.0.2~{caller}-v1-7d4f9c6b5-abcde.default~default.svc.cluster.local",
        "zone": "zone-a",
        "guid:x-request-id": f"{os.urandom(4).hex()}-93bc-94ae-8fba-{os.urandom(6).hex()}",
        "http.url": f"http://reviews:9080/reviews/{number}",
        "http.method": "GET",
        "downstream_cluster": "-",
        "user_agent": "python-requests/2.32.3",
        "http.protocol": "HTTP/1.1",
        "peer.address": "127.42.0.2",
        "request_size": "0",
        "response_size": str(300 + number),
        "component": "proxy",
        "upstream_cluster": f"outbound|9080|{version}|reviews.default.svc.cluster.local",
        "upstream_cluster.name": f"outbound|9080|{version}|reviews.default.svc.cluster.local;",
        "http.status_code": code,
        "response_flags": "-" if code == "200" else "URX",
        "upstream_address": "127.42.0.7:9080",
        "istio.canonical_service": caller,
        "istio.canonical_revision": "v1",
        "istio.namespace": "default",
    }
    span = Span(
        trace_id=os.urandom(16),
        span_id=os.urandom(8),
        parent_span_id=os.urandom(8),
        name="reviews.default.svc.cluster.local:9080/*",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=now,
        end_time_unix_nano=now + 3_000_000 + number * 1000,
    )
    span.attributes.extend(_text(key, value) for key, value in attributes.items())
    return span


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


class LogBodies:
    """Export requests of ``records`` access-log records as Istio's `envoyOtelAls` sends them, with an empty resource:
    its text line and the labels that docs/inputs.md recommends. Request ids are new in each."""

    def __init__(self, records: int) -> None:
        request = ExportLogsServiceRequest()
        logs = request.resource_logs.add().scope_logs.add().log_records
        texts, now = captured_lines("client.istio.log"), time.time_ns()
        labels = {
            "node_id": "sidecar~127.42.0.2~productpage-v1-7d4f9c6b5-abcde.default~default.svc.cluster.local",
            "listener_direction": "2",
            "workload_name": "productpage-v1",
            "canonical_name": "productpage",
            "canonical_revision": "v1",
            "cluster_id": "Kubernetes",
            "grpc_status_number": "-",
            "upstream_request_attempt_count": "1",
            "access_log_type": "DownstreamEnd",
        }
        for number in range(records):
            record = logs.add(time_unix_nano=now - 1_000_000 * number, trace_id=os.urandom(16))
            record.body.string_value = texts[number % len(texts)] + "\n"
            record.attributes.extend(_text(key, value) for key, value in labels.items())
        body = request.SerializeToString()
        self._body = np.frombuffer(body, np.uint8).copy()
        starts = [found.start() for found in _REQUEST_ID.finditer(body)]
        self._places = np.concatenate([np.arange(at, at + 8) for at in starts])

    def next(self) -> bytes:
        self._body[self._places] = np.frombuffer(os.urandom(len(self._places) // 2).hex().encode(), np.uint8)
        return self._body.tobytes()


class MetricBodies:
    """Export requests of Envoy's stat sink as captured; ``points`` in each."""

    def __init__(self) -> None:
        captured = max(lines("otlp_metrics_statsink.jsonl"), key=len)
        request = json_format.Parse(captured, ExportMetricsServiceRequest())
        self.points = sum(
            len(getattr(metric, metric.WhichOneof("data")).data_points)
            for group in request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        )
        self._body = request.SerializeToString()

    def next(self) -> bytes:
        return self._body + _field(15, os.urandom(16))  # as in ALS messages


class AccessLogMessages:
    """Messages of one ALS stream: an identifier first, then ``entries`` HTTP entries of about 1.1 KB each."""

    def __init__(self, entries: int, stream: int) -> None:
        address, pod = f"127.42.1.{stream + 1}", f"productpage-v1-7d4f9c6b5-{stream:05d}"
        node_id = f"sidecar~{address}~{pod}.default~default.svc.cluster.local"
        node = _field(1, node_id) + _field(2, "productpage.default") + _field(3, _node_metadata())
        self.identifier = _field(1, _field(1, node) + _field(2, "http_envoy_accesslog"))
        logs = b"".join(_field(1, _http_entry(number, address)) for number in range(entries))
        self._body = _field(2, logs)

    def next(self) -> bytes:
        # Field 15 is none of the message's: readers skip it, and the bytes are like no others.
        return self._body + _field(15, os.urandom(16))


def _http_entry(number: int, address: str) -> bytes:
    now_us = time.time_ns() // 1000 - 2_000_000 + number * 1000
    version = "v1" if number % 10 < 8 else "v2"
    request_id = f"{os.urandom(4).hex()}-93bc-94ae-8fba-{os.urandom(6).hex()}"
    traceparent = f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
    common = b"".join(
        [
            _field(2, _socket_address(address, 40000 + number)),
            _field(3, _socket_address("127.96.0.10", 9080)),
            _field(5, _number(1, now_us // 1_000_000) + _number(2, now_us % 1_000_000 * 1000)),
            *(_field(field, _number(2, field * 100_000)) for field in range(6, 13)),
            _field(13, _socket_address("127.42.0.7", 9080)),
            _field(14, _socket_address(address, 33000 + number)),
            _field(15, f"outbound|9080|{version}|reviews.default.svc.cluster.local"),
            _field(19, "reviews-route"),
            _field(20, _socket_address(address, 40000 + number)),
            *(_field(22, _field(1, key) + _field(2, "x" * 40)) for key in ("pod", "workload", "zone")),
            _field(23, _number(2, 2_300_000 + number)),
            _number(24, 1),
            _field(26, request_id),
            *(_number(field, 500) for field in range(29, 33)),
            _number(33, 6),  # DownstreamEnd
        ]
    )
    headers = b"".join(
        _field(13, _field(1, key) + _field(2, value))
        for key, value in (("traceparent", traceparent), ("x-b3-sampled", "1"), ("accept", "*/*" * 30))
    )
    request = b"".join(
        [
            _number(1, 1),
            _field(2, "http"),
            _field(3, "reviews:9080"),
            _field(5, f"/reviews/{number}"),
            _field(6, "python-requests/2.32.3"),
            _field(9, request_id),
            _number(11, 643),
            headers,
        ]
    )
    code = _field(1, _number(1, 503 if number % 50 == 0 else 200))
    response = code + _number(2, 176) + _number(3, 370) + _field(6, "via_upstream")
    return _field(1, common) + _number(2, 2) + _field(3, request) + _field(4, response)


def _socket_address(address: str, port: int) -> bytes:
    return _field(1, _field(2, address) + _number(3, port))


def _node_metadata() -> bytes:
    """A Struct with the strings that Istio's bootstrap puts there."""
    pairs = {"NAMESPACE": "default", "WORKLOAD_NAME": "productpage-v1", "CLUSTER_ID": "Kubernetes"}
    return b"".join(_field(1, _field(1, key) + _field(2, _field(3, value))) for key, value in pairs.items())


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
