"""A collector that keeps everything and understands little: the other end of a mesh under test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_ALS = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"


class Sink(grpc.GenericRpcHandler):
    """Takes OTLP traces and access log streams; `address` is where."""

    def __init__(self) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        # The first message of each stream: the only one that names the proxy.
        self.streams: list[bytes] = []
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(64), handlers=[self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()

    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method == _TRACES:
            return grpc.unary_unary_rpc_method_handler(self._take_traces)
        if handler_call_details.method == _ALS:
            return grpc.stream_unary_rpc_method_handler(self._take_stream)
        return None

    def _take_traces(self, body: bytes, _: Any) -> bytes:
        with self._lock:
            self.traces.append(ExportTraceServiceRequest.FromString(body))
        return b""

    def _take_stream(self, messages: Iterator[bytes], _: Any) -> bytes:
        for index, message in enumerate(messages):
            if index == 0:
                with self._lock:
                    self.streams.append(message)
        return b""

    def spans(self) -> Iterator[tuple[dict[str, str], Any]]:
        """Every span with its resource's attributes."""
        for request in self.traces:
            for resource in request.resource_spans:
                known = {each.key: each.value.string_value for each in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        yield known, span
