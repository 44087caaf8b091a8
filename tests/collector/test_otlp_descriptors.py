"""The narrowed descriptors agree, field by field, with the published OTLP ones."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from collector.decode.descriptors import Field, fields_of

_TYPES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}
PAIRS = [
    *(
        ("Request", request)
        for request in (
            trace_service_pb2.ExportTraceServiceRequest,
            logs_service_pb2.ExportLogsServiceRequest,
            metrics_service_pb2.ExportMetricsServiceRequest,
        )
    ),
    *(
        ("Group", kind)
        for kind in (trace_pb2.ResourceSpans, logs_pb2.ResourceLogs, metrics_pb2.ResourceMetrics)
    ),
    *(("Scoped", kind) for kind in (trace_pb2.ScopeSpans, logs_pb2.ScopeLogs, metrics_pb2.ScopeMetrics)),
    ("Resource", resource_pb2.Resource),
    ("Scope", common_pb2.InstrumentationScope),
    ("KeyValue", common_pb2.KeyValue),
    ("AnyValue", common_pb2.AnyValue),
    ("Span", trace_pb2.Span),
    ("Event", trace_pb2.Span.Event),
    ("Link", trace_pb2.Span.Link),
    ("Status", trace_pb2.Status),
    ("LogRecord", logs_pb2.LogRecord),
    ("Metric", metrics_pb2.Metric),
    *(("Points", kind) for kind in (metrics_pb2.Histogram, metrics_pb2.ExponentialHistogram)),
    ("NumberPoint", metrics_pb2.NumberDataPoint),
    ("HistogramPoint", metrics_pb2.HistogramDataPoint),
    ("ExponentialPoint", metrics_pb2.ExponentialHistogramDataPoint),
    ("Buckets", metrics_pb2.ExponentialHistogramDataPoint.Buckets),
    ("SummaryPoint", metrics_pb2.SummaryDataPoint),
    ("Quantile", metrics_pb2.SummaryDataPoint.ValueAtQuantile),
]
# Fields of a shared narrow message that only some of its kinds have.
PARTIAL = {("Points", "monotonic")}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_every_declared_field_has_the_published_number_and_type(ours: str, theirs: type) -> None:
    """A wrong number would silently read nothing, a wrong type silently something else."""
    published: Descriptor = theirs.DESCRIPTOR  # type: ignore[attr-defined]
    for number, field in fields_of(ours).items():
        if (ours, field.name) in PARTIAL:
            continue
        there = published.fields_by_number[number]
        assert _expected(there) == (
            field.scalar or "message" if not field.raw else "message",
            field.repeated,
        ), field


def _expected(there: FieldDescriptor) -> tuple[str, bool]:
    kind = {"string": "bytes", "enum": "int32"}.get(_TYPES[there.type], _TYPES[there.type])
    return kind, there.is_repeated


def test_a_field_knows_its_shape() -> None:
    """The short notation of descriptors.py reads as it is meant."""
    assert fields_of("Group")[2] == Field("scoped", 2, "bytes", "Scoped", True, True, False)
    assert fields_of("AnyValue")[3] == Field("int_value", 3, "int64", None, False, False, True)
