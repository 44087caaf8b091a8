"""OTLP's JSON form gives the same rows as its protobuf form, and its errors name the field."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from collector.decode import limits
from collector.decode.otlp_json import decode_logs_json, decode_metrics_json, decode_traces_json
from tests.collector.captures import CAPTURES, exports, json_lines, lines

SPAN = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "eee19b7ec3c1b174",
    "startTimeUnixNano": "1000",
}


def body(*spans: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def test_a_capture_has_all_its_spans_and_their_hex_ids() -> None:
    """Ids are hex in OTLP's JSON; read as base64 they would be garbage without an error."""
    sent = [
        span
        for message in json_lines("otlp_traces_spawn_http.jsonl")
        for group in message["resourceSpans"]
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    ]
    decoded = decode_traces_json(exports(*lines("otlp_traces_spawn_http.jsonl")))
    assert (decoded.accepted, decoded.refused, decoded.rejected) == (len(sent), {}, {})
    for row, span in zip(decoded.tables["spans"].to_pylist(), sent, strict=True):
        assert row["trace_id"] == uuid.UUID(span["traceId"])
        assert row["span_id"] == int(span["spanId"], 16)
        assert row["time_ns"] == int(span["startTimeUnixNano"])
        assert row["name"] == span["name"]


@pytest.mark.parametrize(
    ("name", "decode", "table", "count"),
    [
        ("trace", decode_traces_json, "spans", 1),
        ("logs", decode_logs_json, "logs", 1),
        ("metrics", decode_metrics_json, "metric_points", 4),
    ],
)
def test_the_specifications_examples(name: str, decode: Any, table: str, count: int) -> None:
    """The examples of the OTLP specification are read whole."""
    text = (CAPTURES / "otlp_examples" / f"otlp_example_{name}.json").read_bytes()
    decoded = decode(exports(text))
    assert (decoded.accepted, decoded.tables[table].num_rows, decoded.refused) == (count, count, {})


def test_leniency() -> None:
    """Enums by number or name, 64-bit numbers plain or quoted, unknown fields, odd characters: all read."""
    odd = SPAN | {"kind": "SPAN_KIND_CLIENT", "startTimeUnixNano": 1000, "unknown": {"x": [1]}, "ü": 1}
    odd["name"] = "caf\ud800é"
    rows = decode_traces_json(exports(body(odd, SPAN | {"kind": 2}))).tables["spans"].to_pylist()
    assert [(row["kind"], row["time_ns"]) for row in rows] == [("client", 1000), ("server", 1000)]
    assert rows[0]["name"] == "caf\ufffdé"
    assert rows[0]["trace_id"] == uuid.UUID(SPAN["traceId"])


def test_an_id_that_is_no_hex_rejects_its_span_only() -> None:
    """The good span beside it is kept."""
    decoded = decode_traces_json(exports(body(SPAN, SPAN | {"traceId": "xyz"}, SPAN | {"spanId": ""})))
    assert decoded.accepted == 1
    assert decoded.rejected[0][0] == 2
    assert "spans[1].trace_id" in decoded.rejected[0][1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no JSON: Expecting value at character 0"),
        (b"[]", "expected a JSON object, found list"),
        (b'{"resourceSpans": 1}', "resourceSpans"),
        (body(SPAN | {"startTimeUnixNano": "soon"}), "startTimeUnixNano"),
        (
            body(SPAN | {"kind": "1e400", "flags": 1}).replace(b'"1e400"', b"1e400"),
            "resourceSpans[0].scopeSpans[0].spans[0].kind is a number out of range",
        ),
        (b"[" * 100_000, "nested too deep"),
        (b" " * (limits.JSON_BYTES + 1), "at most"),
    ],
)
def test_what_is_no_request_is_refused_alone(text: bytes, message: str) -> None:
    """A refusal names the field or character; the export beside it keeps its number and rows."""
    decoded = decode_traces_json(exports(text, body(SPAN)))
    assert message in decoded.refused[0].message
    assert decoded.tables["spans"].column("export").to_pylist() == [1]
