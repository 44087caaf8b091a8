"""Answers as bytes: OTLP export responses and google.rpc.Status, protobuf and JSON. Pure.

What must stay true: full success leaves ``partial_success`` unset (an empty message), so that no
client takes it for a warning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status as RpcStatus
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from collector.errors import Overloaded, Refused, status_of

STATUS_DETAILS_KEY = "grpc-status-details-bin"
_MESSAGE_MAX = 1024


@dataclass(frozen=True)
class Answer:
    """An export was taken; ``rejected`` of its records were not, and ``message`` says which and why."""

    rejected: int = 0
    message: str = ""


TAKEN = Answer()


def response_bytes(kind: str, answer: Answer) -> bytes:
    """The Export*ServiceResponse of an OTLP kind."""
    if answer == TAKEN:
        return b""
    message = answer.message[:_MESSAGE_MAX]
    if kind.startswith("otlp_traces"):
        spans = ExportTracePartialSuccess(rejected_spans=answer.rejected, error_message=message)
        return ExportTraceServiceResponse(partial_success=spans).SerializeToString()
    if kind.startswith("otlp_logs"):
        logs = ExportLogsPartialSuccess(rejected_log_records=answer.rejected, error_message=message)
        return ExportLogsServiceResponse(partial_success=logs).SerializeToString()
    points = ExportMetricsPartialSuccess(rejected_data_points=answer.rejected, error_message=message)
    return ExportMetricsServiceResponse(partial_success=points).SerializeToString()


_REJECTED_JSON = {
    "otlp_traces": "rejectedSpans",
    "otlp_logs": "rejectedLogRecords",
    "otlp_metrics": "rejectedDataPoints",
}


def response_json(kind: str, answer: Answer) -> bytes:
    if answer == TAKEN:
        return b"{}"
    # 64-bit integers are strings in protobuf's JSON.
    rejected = {_REJECTED_JSON[kind.removesuffix("_json")]: str(answer.rejected)}
    return json.dumps({"partialSuccess": rejected | {"errorMessage": answer.message[:_MESSAGE_MAX]}}).encode()


def status_bytes(error: Refused) -> bytes:
    """google.rpc.Status, with RetryInfo exactly where the sender may try again."""
    status = RpcStatus(code=status_of(error).grpc.value[0], message=str(error)[:_MESSAGE_MAX])
    if isinstance(error, Overloaded):
        status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=error.retry_after_s)))
    return status.SerializeToString()


def status_json(error: Refused) -> bytes:
    body = {"code": status_of(error).grpc.value[0], "message": str(error)[:_MESSAGE_MAX]}
    return json.dumps(body).encode()
