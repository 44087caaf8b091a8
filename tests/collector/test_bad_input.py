"""Bad input, whatever the input: what is wrong, where, what was expected; the good beside it is kept.

It is counted under its source (`/metrics`) and kept in `rejects` with a bounded sample.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.decode import limits
from collector.decode.access_log import decode_chunk
from collector.decode.access_log_emitter import Emitter
from collector.decode.access_log_format import LineFormat, compile_format
from collector.grpc_server import ALS_METHOD
from collector.main import Collector
from tests.collector.asking_http import JSON, PROTOBUF, ask
from tests.collector.journal_reading import read_folder
from tests.collector.running import counted, running_collector
from tests.collector.test_otlp_fields import as_json
from tests.collector.wire_writer import common, http_entry, http_message, identifier, message
from tests.payloads import app_spans, log_records

NOW = 1_700_000_000_000_000_000
LATE = 2**63  # nanoseconds: past the year 2262


def spans() -> object:
    request = app_spans(3)
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = b"short"
    return request


def logs() -> ExportLogsServiceRequest:
    request = log_records(3)
    request.resource_logs[0].scope_logs[0].log_records[1].time_unix_nano = LATE
    return request


def points() -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for time in (NOW, 0, NOW):
        metric.gauge.data_points.add(time_unix_nano=time, as_int=1)
    return request


OTLP = {
    "otlp_traces": ("/v1/traces", spans, r"resource_spans[0].scope_spans[0].spans[1].trace_id"),
    "otlp_logs": ("/v1/logs", logs, r"resource_logs[0].scope_logs[0].log_records[1].time_unix_nano"),
    "otlp_metrics": (
        "/v1/metrics",
        points,
        "resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[1].time_unix_nano",
    ),
}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("data"), None, None) as one:
        yield one


class Counts:
    """What the counters and the journal gain for one source."""

    def __init__(self, collector: Collector, source: str) -> None:
        self._collector, self._source = collector, source
        self._before = self._counters()
        self._rejects_before = len(self._stored())

    def _counters(self) -> tuple[float, float, float]:
        names = ("accepted_records", "rejected_records", "refused_exports")
        found = [counted(self._collector, f"sidelight_{name}_total", source=self._source) for name in names]
        return found[0], found[1], found[2]

    def _stored(self) -> list[dict[str, object]]:
        batches = read_folder(self._collector.settings.journal_folder)
        found = [
            row for one in batches if "rejects" in one.tables for row in one.tables["rejects"].to_pylist()
        ]
        return [row for row in found if row["source"] == self._source]

    def gained(self) -> tuple[float, ...]:
        """(accepted records, rejected records, refused exports)."""
        return tuple(now - before for now, before in zip(self._counters(), self._before, strict=True))

    def rejects(self) -> list[dict[str, object]]:
        return self._stored()[self._rejects_before :]


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("source", OTLP)
def test_a_bad_record_among_good_ones(collector: Collector, source: str, content_type: str) -> None:
    """OTLP in both forms: two of three are kept; answer, counter and `rejects` name the field of the third."""
    path, build, place = OTLP[source]
    counts = Counts(collector, source)
    request = build()
    body = as_json(request) if content_type == JSON else request.SerializeToString()
    status, _, answer = ask(collector, body, path, content_type=content_type)
    assert (status, counts.gained()) == (200, (2, 1, 0))
    assert place in answer.decode("utf-8", "replace")
    (row,) = counts.rejects()
    assert row["place"] == place
    assert "expected" in str(row["reason"])


@pytest.mark.parametrize(
    ("content_type", "body", "place"),
    [
        (PROTOBUF, app_spans(2).SerializeToString()[:-3], "body, byte "),
        (PROTOBUF, b"\x0a\x7f" + b"short" * 200, "body, byte "),
        (JSON, b'{"resourceSpans": [' + b"x" * 5000, "body, byte 19"),
        (JSON, b'{"resourceSpans": 7}', "body"),
    ],
)
def test_a_body_that_is_none(collector: Collector, content_type: str, body: bytes, place: str) -> None:
    """A whole body that cannot be read is refused, counted, and kept as far as its sample shows it."""
    counts = Counts(collector, "otlp_traces")
    assert ask(collector, body, content_type=content_type)[0] == 400
    assert (
        ask(collector, app_spans(1).SerializeToString())[0] == 200
    )  # whatever was due is in the journal now
    assert counts.gained() == (1, 0, 1)
    (row,) = counts.rejects()
    assert str(row["place"]).startswith(place)
    assert row["reason"]
    assert 0 < len(str(row["sample"])) <= limits.SAMPLE_CHARS


def test_a_bad_entry_of_an_access_log_stream(collector: Collector) -> None:
    """A stream goes on after an entry that cannot be read; what is no message ends it, and both are kept."""
    counts = Counts(collector, "als")
    good, late = http_entry(common("outbound|80||a.b")), http_entry(common(seconds=2**40))
    with grpc.insecure_channel(collector.grpc.address) as channel:
        send = channel.stream_unary(ALS_METHOD)
        assert send(iter([message(1, identifier("n")) + http_message(good, late, good)]), timeout=60) == b""
        assert counts.gained() == (2, 1, 0)
        (row,) = counts.rejects()
        assert str(row["place"]).startswith("http_logs[0].log_entry[1]")
        assert "expected" in str(row["reason"])
        with pytest.raises(grpc.RpcError, match="byte"):
            send(iter([http_message(good), b"\x12\x7f\x0a"]), timeout=60)
        assert send(iter([http_message(good)]), timeout=60) == b""
    assert counts.gained() == (4, 1, 1)
    assert str(counts.rejects()[-1]["place"]).startswith("body, byte ")


ISTIO = (
    b'[2026-11-21T12:00:40.242Z] "GET /ok HTTP/1.1" 200 - via_upstream - "-" 0 5 3 2 "-" "curl" "id" "reviews:9080" '
    b'"10.0.0.2:9080" outbound|9080||reviews.default.svc.cluster.local 10.0.0.1:37652 10.0.45.184:9080 '
    b"10.0.0.1:46520 - default"
)
ENVOY = ISTIO.replace(b' - via_upstream - "-" 0', b" - 0").partition(b" outbound|")[0]
RECORD = {
    "start_time": "2026-11-21T12:00:40.242Z",
    "response_code": 200,
    "method": "GET",
    "protocol": "HTTP/1.1",
}
OWN = compile_format("%START_TIME% %RESPONSE_CODE% %DURATION%")


@pytest.mark.parametrize(
    ("families", "good", "bad", "told"),
    [
        (frozenset({"istio"}), ISTIO, ISTIO[:200], "cut short"),
        (frozenset({"istio"}), ISTIO, b"hello", "expected [TIME]"),
        (frozenset({"envoy"}), ENVOY, ENVOY[:-20], "cut short"),
        (frozenset({"envoy"}), ENVOY, ENVOY.replace(b"11-21T", b"13-41T"), "time"),
        (frozenset({"json"}), json.dumps(RECORD).encode(), b'{"start_time": ', "JSON"),
        (frozenset({"json"}), json.dumps(RECORD).encode(), b'{"response_code": 200}', "start_time"),
        (OWN, b"2026-11-21T12:00:40Z 200 12", b"2026-11-21T12:00:40Z ok 12", "does not fit"),
    ],
)
def test_a_bad_line_among_good_ones(
    families: frozenset[str] | LineFormat, good: bytes, bad: bytes, told: str
) -> None:
    """Access-log files: the lines beside it are rows; the reject has its number, the reason and a sample."""
    decoded = decode_chunk(b"\n".join([good, bad, good, b""]), 11, families, Emitter(None))
    assert (decoded.requests.num_rows, decoded.lines) == (2, 3)
    (reject,) = decoded.rejects
    assert reject.line == 12
    assert told in reject.reason
    assert 0 < len(reject.sample) <= limits.SAMPLE_CHARS
