"""OTLP logs: records become rows with times, bodies and ids; bad ids are no reason to lose a record."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.decode.otlp_logs import decode_logs
from tests.collector.captures import ENVOY, RECEIVED_US, exports, framed


def request(*records: LogRecord) -> bytes:
    message = ExportLogsServiceRequest()
    message.resource_logs.add().scope_logs.add().log_records.extend(records)
    return message.SerializeToString()


def test_a_capture_reads_as_protobuf_reads_it() -> None:
    """Every record of a real capture has the time, body, ids and labels it was sent with (its lines quoted,
    as an application would: access logs are `test_otlp_access_logs`)."""
    bodies = [_as_application_logs(body) for body in framed("otlp_http_logs.raw.bin")]
    expected = [
        (index, record)
        for index, body in enumerate(bodies)
        for group in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]
    decoded = decode_logs(exports(*bodies))
    assert (decoded.accepted, decoded.refused, decoded.rejected) == (len(expected), {}, {})
    for row, (index, record) in zip(decoded.tables["logs"].to_pylist(), expected, strict=True):
        assert row["export"] == index
        assert row["time_ns"] == record.time_unix_nano
        assert row["body"] == record.body.string_value
        assert row["trace_id"] == (uuid.UUID(bytes=record.trace_id) if record.trace_id else None)
        assert row["span_id"] == (int.from_bytes(record.span_id) or None)
        flat = {pair.key: pair.value.string_value for pair in record.attributes if _is_text(pair.value)}
        assert flat.items() <= dict(row["attributes"]).items()
        assert len(row["attributes"]) == len(record.attributes)


def _as_application_logs(body: bytes) -> bytes:
    request = ExportLogsServiceRequest.FromString(body)
    for group in request.resource_logs:
        for scope in group.scope_logs:
            for record in scope.log_records:
                record.body.string_value = f"proxy said: {record.body.string_value}"
                for pair in record.attributes:
                    pair.key = f"said.{pair.key}"
    return request.SerializeToString()


def _is_text(value: object) -> bool:
    return value.WhichOneof("value") == "string_value"  # type: ignore[attr-defined]


def test_a_record_without_time_gets_the_next_best() -> None:
    """Time is when it happened, else when it was observed, else when it was received."""
    decoded = decode_logs(
        exports(
            request(
                LogRecord(time_unix_nano=5_000, observed_time_unix_nano=9_000),
                LogRecord(observed_time_unix_nano=9_000),
                LogRecord(),
            )
        )
    )
    assert decoded.tables["logs"].column("time_ns").to_pylist() == [5_000, 9_000, RECEIVED_US * 1000]


def test_ids_that_are_none_are_null_and_impossible_times_reject() -> None:
    """A log with a bad id is still a log; one from the year 2300 is rejected by name."""
    decoded = decode_logs(
        exports(
            request(
                LogRecord(trace_id=b"x", span_id=b"y", time_unix_nano=1000), LogRecord(time_unix_nano=1 << 63)
            )
        )
    )
    (row,) = decoded.tables["logs"].to_pylist()
    assert (row["trace_id"], row["span_id"]) == (None, None)
    assert row["time"] == datetime.fromtimestamp(1e-6, UTC).replace(tzinfo=None)
    assert "resource_logs[0].scope_logs[0].log_records[1].time_unix_nano" in decoded.rejected[0][1]


def test_bodies_of_any_kind_are_text() -> None:
    """A structured body reads as JSON, an absent one is null; severities and event names are kept."""
    structured = LogRecord(severity_number=17, severity_text="ERROR", event_name="boom")
    structured.body.kvlist_value.values.add(key="a").value.int_value = 1
    older = LogRecord()
    older.attributes.add(key="event.name").value.string_value = "old"
    first, second = decode_logs(exports(request(structured, older))).tables["logs"].to_pylist()
    assert (first["body"], first["severity_number"], first["severity_text"]) == ('{"a":1}', 17, "ERROR")
    assert (first["event_name"], second["event_name"], second["body"]) == ("boom", "old", None)


def test_invalid_utf8_in_bodies_and_labels_is_repaired() -> None:
    """Envoy copies header bytes into log bodies; none of them rejects a batch."""
    for name in ("otlp_invalid_utf8_1_v1_logs.bin", "otlp_invalid_utf8_2_LogsService.bin"):
        decoded = decode_logs(exports((ENVOY / name).read_bytes()))
        assert decoded.refused == {}
        kept = decoded.tables["observations"].to_pylist() + decoded.tables["logs"].to_pylist()
        assert any("caf\ufffd" in str(row) for row in kept)
