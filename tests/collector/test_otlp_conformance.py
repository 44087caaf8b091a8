"""What OTLP asks of a receiver, with the real decoders behind the real servers.

The transport's own rules (types, encodings, limits, statuses) are in test_http_server.py and
test_grpc_server.py; here is what depends on what the bytes mean.
"""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from collector.decode import limits
from collector.main import Collector
from tests.collector.asking_grpc import LOGS, METRICS, TRACES, call, refusal
from tests.collector.asking_http import HEAD, JSON, PROTOBUF, ask, zstd
from tests.collector.journal_reading import read_folder
from tests.collector.running import running_collector
from tests.payloads import app_spans

PATHS = {"/v1/traces": TRACES, "/v1/logs": LOGS, "/v1/metrics": METRICS}
SPAN = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "eee19b7ec3c1b174",
    "startTimeUnixNano": "1000",
}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("data"), None, None) as one:
        yield one


def rows(collector: Collector, table: str, name: str) -> list[dict[str, Any]]:
    """The stored rows of this name."""
    batches = [one for one in read_folder(collector.settings.journal_folder) if table in one.tables]
    return [row for batch in batches for row in batch.tables[table].to_pylist() if row["name"] == name]


def span_request(**fields: object) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN | fields]}]}]}).encode()


def metric_request(**fields: object) -> bytes:
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [fields]}]}]}).encode()


@pytest.mark.parametrize("path", PATHS)
def test_nothing_at_all_is_taken(collector: Collector, path: str) -> None:
    """An empty request is a success in every form, and so are empty lists and objects."""
    assert call(collector, b"", PATHS[path]) == b""
    assert ask(collector, b"", path)[::2] == (200, b"")
    kind = {"/v1/traces": "Spans", "/v1/logs": "Logs", "/v1/metrics": "Metrics"}[path]
    for body in (
        {},
        {f"resource{kind}": []},
        {f"resource{kind}": [{}]},
        {f"resource{kind}": [{f"scope{kind}": [{}]}]},
    ):
        assert ask(collector, json.dumps(body).encode(), path, content_type=JSON)[::2] == (200, b"{}")


def test_a_query_and_a_byte_order_mark_change_nothing(collector: Collector) -> None:
    """`/v1/traces?x=1` is the same path; a body may begin as Windows writes it."""
    body = b"\xef\xbb\xbf" + span_request(name="marked")
    assert ask(collector, body, "/v1/traces?timeout=10", content_type=JSON)[0] == 200
    assert len(rows(collector, "spans", "marked")) == 1


def test_unknown_fields_are_ignored(collector: Collector) -> None:
    """What a later version of OTLP adds does not cost what we know: protobuf and JSON, at every level."""
    request = app_spans(1, name="later")
    unknown = b"\xba\x3e\x03abc" + b"\xc0\x3e\x01"  # fields 999 and 1000
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.MergeFromString(unknown)
    request.resource_spans[0].MergeFromString(unknown)
    assert call(collector, request.SerializeToString() + unknown) == b""
    body = json.loads(span_request(name="later", later={"a": [1]}))
    body["resourceSpans"][0]["later"] = "x"
    assert ask(collector, json.dumps(body | {"later": None}).encode(), content_type=JSON)[0] == 200
    assert len(rows(collector, "spans", "later")) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"startTimeUnixNano": 1000, "kind": 3},
        {"startTimeUnixNano": "1000", "kind": "SPAN_KIND_CLIENT"},
        {"start_time_unix_nano": "1000", "startTimeUnixNano": None, "kind": 3},
        {"traceId": SPAN["traceId"].lower(), "spanId": "EEE19B7EC3C1B174", "kind": 3},
        {"parentSpanId": "", "attributes": [], "events": None, "status": {}, "kind": 3},
    ],
)
def test_the_spellings_of_json(collector: Collector, fields: dict[str, object]) -> None:
    """64-bit numbers plain or quoted, enums by number or name, ids in either case, absent as null or empty."""
    name = f"spelled {fields}"
    assert ask(collector, span_request(name=name, **fields), content_type=JSON)[::2] == (200, b"{}")
    (row,) = rows(collector, "spans", name)
    assert (row["kind"], row["time_ns"], row["span_id"]) == ("client", 1000, 0xEEE19B7EC3C1B174)
    assert row["trace_id"].hex.upper() == SPAN["traceId"]


def test_numbers_json_cannot_write(collector: Collector) -> None:
    """NaN and the infinities come as strings."""
    points = [{"timeUnixNano": "1", "asDouble": value} for value in ("NaN", "Infinity", "-Infinity", "1.5")]
    body = metric_request(name="odd numbers", gauge={"dataPoints": points})
    assert ask(collector, body, "/v1/metrics", content_type=JSON)[0] == 200
    values = [repr(row["value"]) for row in rows(collector, "metric_points", "odd numbers")]
    assert values == ["nan", "inf", "-inf", "1.5"]


@pytest.mark.parametrize(
    ("body", "content_type", "told"),
    [
        (app_spans(2).SerializeToString() + b"\x07", PROTOBUF, "byte"),
        (app_spans(2).SerializeToString()[:-3], PROTOBUF, "byte"),
        (span_request(), PROTOBUF, "byte"),
        (app_spans(2).SerializeToString(), JSON, "no JSON"),
        (span_request() + b"x", JSON, "Extra data"),
        (span_request()[:-2], JSON, "no JSON"),
        (b"", JSON, "no JSON"),
        (b'{"resourceSpans": {}}', JSON, "resourceSpans"),
        (span_request(kind="SPAN_KIND_CLIENT", startTimeUnixNano="soon"), JSON, "startTimeUnixNano"),
        (span_request(startTimeUnixNano=2**64), JSON, "startTimeUnixNano"),
        (b"[" * 50_000 + b"]" * 50_000, JSON, "nested too deep"),
    ],
)
def test_what_is_no_request_is_400_and_says_where(
    collector: Collector, body: bytes, content_type: str, told: str
) -> None:
    """Garbage before, after or instead of a request, and a field of the wrong type: never a success or a 500."""
    status, headers, answer = ask(collector, body, content_type=content_type)
    assert (status, headers["content-type"]) == (400, content_type)
    assert told in answer.decode("utf-8", "replace")


def test_what_is_no_request_is_invalid_over_grpc(collector: Collector) -> None:
    """The same over gRPC: INVALID_ARGUMENT, which no sender tries again."""
    for body in (app_spans(2).SerializeToString() + b"\x07", b"{}", b"\x0a" + b"\xff" * 9 + b"\x01"):
        code, message, _ = refusal(lambda: call(collector, body))  # noqa: B023
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "byte" in message


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_glued_members_are_one_body(collector: Collector, encoding: str, compress: Any) -> None:
    """gzip members and zstd frames may stand one after another."""
    whole = span_request(name=f"glued {encoding}")
    body = compress(whole[:40]) + compress(whole[40:])
    assert ask(collector, body, content_type=JSON, content_encoding=encoding)[::2] == (200, b"{}")
    assert len(rows(collector, "spans", f"glued {encoding}")) == 1


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd)]
)
def test_garbage_after_the_compressed_body_is_400(collector: Collector, encoding: str, compress: Any) -> None:
    """Whatever follows is told, not ignored: it may be half of what the sender meant."""
    body = compress(app_spans(1).SerializeToString()) + b"garbage"
    assert ask(collector, body, content_encoding=encoding)[0] == 400


def test_json_has_a_bound_of_its_own(collector: Collector) -> None:
    """A JSON body past 16 MiB is 413 as it arrives, compressed or not; as protobuf it would be read."""
    body = b" " * (limits.JSON_BYTES + 1)
    assert ask(collector, body, content_type=JSON)[0] == 413
    assert ask(collector, gzip.compress(body, 1), content_type=JSON, content_encoding="gzip")[0] == 413
    assert (
        ask(collector, app_spans(1).SerializeToString() + b"\xba\x3e\x80\x80\x80\x09" + bytes(9 << 21))[0]
        == 200
    )


def test_a_sender_that_asks_before_it_sends(collector: Collector) -> None:
    """curl asks `Expect: 100-continue` before a large body: it is told to go on, then answered."""
    host, _, port = collector.http.address.rpartition(":")
    body = app_spans(1, name="expected").SerializeToString()
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(HEAD + b"content-length: %d\r\nexpect: 100-continue\r\n\r\n" % len(body))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert len(rows(collector, "spans", "expected")) == 1


def test_http_1_0_is_answered(collector: Collector) -> None:
    """An old proxy in between speaks HTTP/1.0 and is not kept waiting for more."""
    host, _, port = collector.http.address.rpartition(":")
    body = app_spans(1, name="old").SerializeToString()
    head = HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"content-length: %d\r\n\r\n" % len(body)
    answer = b""
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head + body)
        while piece := connection.recv(1000):
            answer += piece
    assert b" 200 " in answer.splitlines()[0]
