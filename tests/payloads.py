"""OTLP exports built with the official protobuf classes, for tests that send over the wire."""

from __future__ import annotations

import os
import time

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def app_spans(
    count: int, service: str = "cart", name: str = "GET /cart", trace_id: bytes | None = None
) -> ExportTraceServiceRequest:
    """One trace of ``count`` application spans that started just now."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(text("service.name", service))
    scope = resource.scope_spans.add()
    trace = trace_id or os.urandom(16)
    now = time.time_ns()
    parent = b""
    for number in range(count):
        span = scope.spans.add(
            trace_id=trace,
            span_id=os.urandom(8),
            parent_span_id=parent,
            name=name,
            kind=Span.SPAN_KIND_SERVER if number == 0 else Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=now - 5_000_000 + number * 1000,
            end_time_unix_nano=now,
        )
        span.attributes.append(text("http.request.method", "GET"))
        parent = parent or span.span_id
    return request


def proxy_pair(
    caller: str = "productpage",
    callee: str = "reviews",
    namespace: str = "default",
    version: str = "v1",
    code: int = 200,
) -> ExportTraceServiceRequest:
    """One request as both sidecars' spans tell it: the caller's CLIENT span and the callee's SERVER span."""
    request = ExportTraceServiceRequest()
    trace, client, server = os.urandom(16), os.urandom(8), os.urandom(8)
    now = time.time_ns()
    sides = (
        (
            caller,
            "v1",
            "127.90.0.1",
            Span.SPAN_KIND_CLIENT,
            client,
            b"",
            f"outbound|9080|{version}|{callee}.{namespace}.svc.cluster.local",
        ),
        (callee, version, "127.90.0.2", Span.SPAN_KIND_SERVER, server, client, "inbound|9080||"),
    )
    for app, app_version, address, kind, span_id, parent, cluster in sides:
        resource = request.resource_spans.add()
        resource.resource.attributes.append(text("service.name", f"{app}.{namespace}"))
        span = resource.scope_spans.add().spans.add(
            trace_id=trace,
            span_id=span_id,
            parent_span_id=parent,
            name=f"{callee}:9080/*",
            kind=kind,
            start_time_unix_nano=now - 10_000_000,
            end_time_unix_nano=now,
            status=Status(code=Status.STATUS_CODE_ERROR if code >= 500 else Status.STATUS_CODE_UNSET),
        )
        pod = f"{app}-{app_version}-7d4f9c6b5-abcde"
        span.attributes.extend(
            text(key, value)
            for key, value in {
                "node_id": f"sidecar~{address}~{pod}.{namespace}~{namespace}.svc.cluster.local",
                "component": "proxy",
                "http.method": "GET",
                "http.url": f"http://{callee}:9080/",
                "http.status_code": str(code),
                "response_flags": "-",
                "upstream_cluster": cluster,
                "peer.address": "127.90.0.1",
                "istio.canonical_service": app,
                "istio.canonical_revision": app_version,
                "istio.namespace": namespace,
            }.items()
        )
    return request


def log_records(count: int, service: str = "cart") -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.append(text("service.name", service))
    scope = resource.scope_logs.add()
    for number in range(count):
        scope.log_records.append(
            LogRecord(
                time_unix_nano=time.time_ns(),
                body=AnyValue(string_value=f"line {number} {os.urandom(4).hex()}"),
                severity_number=9,
            )
        )
    return request
