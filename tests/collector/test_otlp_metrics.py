"""OTLP metrics: points of every kind become rows; Envoy's odd start times and empty points are understood."""

from __future__ import annotations

from datetime import datetime

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from collector.decode.otlp_json import decode_metrics_json
from collector.decode.otlp_metrics import decode_metrics
from tests.collector.captures import exports, json_lines, lines

T = 1_700_000_000_000_000_000


def request(*metrics: Metric) -> bytes:
    message = ExportMetricsServiceRequest()
    message.resource_metrics.add().scope_metrics.add().metrics.extend(metrics)
    return message.SerializeToString()


def test_envoys_stat_sink_keeps_every_point_and_mends_its_start_times() -> None:
    """All points of a real stat sink capture arrive, and start times in microseconds read as this year's."""
    points = [
        point
        for body in json_lines("otlp_metrics_statsink.jsonl")
        for group in body["resourceMetrics"]
        for scope in group["scopeMetrics"]
        for metric in scope["metrics"]
        for kind in ("gauge", "sum", "histogram")
        for point in metric.get(kind, {}).get("dataPoints", [])
    ]
    decoded = decode_metrics_json(exports(*lines("otlp_metrics_statsink.jsonl")))
    rows = decoded.tables["metric_points"].to_pylist()
    assert (len(rows), decoded.rejected, decoded.refused) == (len(points), {}, {})
    assert {row["start_time"].year for row in rows if row["start_time"]} == {2026}
    assert sorted(row["value_int"] for row in rows if row["type"] == "sum") == sorted(
        int(point["asInt"]) for point in points if "asInt" in point and "startTimeUnixNano" in point
    )


def test_numbers() -> None:
    """Gauges and sums keep integers exactly and have a float beside; zero is a value, absence is null."""
    gauge, total = Metric(name="g", unit="1", description="d"), Metric(name="s")
    gauge.gauge.data_points.add(time_unix_nano=T, as_double=1.5)
    gauge.gauge.data_points.add(time_unix_nano=T, as_int=0)
    gauge.gauge.data_points.add(time_unix_nano=T)
    total.sum.aggregation_temporality, total.sum.is_monotonic = 2, True
    total.sum.data_points.add(time_unix_nano=T, start_time_unix_nano=T, as_int=-(2**62)).attributes.add(
        key="k"
    ).value.string_value = "v"
    rows = decode_metrics(exports(request(gauge, total))).tables["metric_points"].to_pylist()
    assert [(row["name"], row["type"], row["value"], row["value_int"]) for row in rows] == [
        ("g", "gauge", 1.5, None),
        ("g", "gauge", 0.0, 0),
        ("g", "gauge", None, None),
        ("s", "sum", -(2.0**62), -(2**62)),
    ]
    assert (rows[0]["unit"], rows[0]["description"], rows[0]["temporality"]) == ("1", "d", None)
    assert (rows[3]["temporality"], rows[3]["monotonic"]) == ("cumulative", True)
    assert rows[3]["attributes"] == [("k", "v")]
    assert rows[3]["time"] == rows[3]["start_time"] == datetime(2023, 11, 14, 22, 13, 20)


def test_distributions() -> None:
    """Histograms, exponential histograms and summaries keep their buckets; optional parts are null."""
    plain, exponential, summary = Metric(name="h"), Metric(name="e"), Metric(name="q")
    plain.histogram.aggregation_temporality = 1
    plain.histogram.data_points.add(
        time_unix_nano=T, count=3, sum=4.5, min=1, max=2, explicit_bounds=[1.0], bucket_counts=[1, 2]
    )
    plain.histogram.data_points.add(time_unix_nano=T, count=3)
    point = exponential.exponential_histogram.data_points.add(
        time_unix_nano=T, count=2**63, scale=-3, zero_count=1, zero_threshold=0.5
    )
    point.positive.offset, point.positive.bucket_counts[:] = -2, [4, 5]
    median = summary.summary.data_points.add(time_unix_nano=T, count=9, sum=2)
    median.quantile_values.add(quantile=0.5, value=1)
    rows = decode_metrics(exports(request(plain, exponential, summary))).tables["metric_points"].to_pylist()
    first, bare, wide, quantiles = rows
    assert (first["bounds"], first["bucket_counts"], first["min"], first["max"]) == ([1.0], [1, 2], 1.0, 2.0)
    assert (first["count"], first["sum"], first["temporality"]) == (3, 4.5, "delta")
    assert (bare["sum"], bare["min"], bare["bounds"]) == (None, None, [])
    assert (wide["count"], wide["scale"], wide["zero_count"], wide["zero_threshold"]) == (2**63, -3, 1, 0.5)
    assert (wide["positive_offset"], wide["positive_counts"]) == (-2, [4, 5])
    assert (wide["negative_offset"], wide["negative_counts"]) == (None, None)
    assert (quantiles["quantiles"], quantiles["sum"]) == ([{"quantile": 0.5, "value": 1.0}], 2.0)


def test_a_point_that_recorded_no_value_is_accepted_and_makes_no_row() -> None:
    """NO_RECORDED_VALUE marks a gap: it is no data point and no error."""
    gauge = Metric(name="g")
    gauge.gauge.data_points.add(time_unix_nano=T, flags=1)
    gauge.gauge.data_points.add(time_unix_nano=T, as_int=4)
    decoded = decode_metrics(exports(request(gauge)))
    assert (decoded.accepted, decoded.tables["metric_points"].num_rows, decoded.rejected) == (2, 1, {})


def test_bad_points_are_rejected_alone() -> None:
    """A point without time, or with buckets that do not fit its bounds, is named; the others are kept."""
    bad = Metric(name="h")
    bad.histogram.data_points.add(time_unix_nano=T, explicit_bounds=[1.0, 2.0], bucket_counts=[1])
    bad.histogram.data_points.add(count=1)
    bad.histogram.data_points.add(time_unix_nano=T, count=1)
    decoded = decode_metrics(exports(request(Metric(name="empty"), bad)))
    count, message = decoded.rejected[0]
    where = "resource_metrics[0].scope_metrics[0].metrics[1].histogram.data_points"
    assert (count, decoded.accepted) == (2, 1)
    assert f"{where}[0].bucket_counts: has 1 counts for 2 bounds" in message
    assert f"{where}[1].time_unix_nano: is missing" in message


def test_broken_points_refuse_their_export() -> None:
    """Bytes that break inside a point are found at their offset."""
    gauge = Metric(name="g")
    gauge.gauge.data_points.add(time_unix_nano=T, as_int=4).attributes.add(key="k").value.string_value = "v"
    good = request(gauge)
    broken = bytearray(good)
    broken[good.index(b"\x0a\x01v") + 1] = 9
    decoded = decode_metrics(exports(bytes(broken), good))
    assert decoded.refused[0].offset == good.index(b"\x0a\x01v")
    assert decoded.accepted == 1
