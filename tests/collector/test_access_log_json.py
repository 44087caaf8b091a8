"""JSON access logs: Istio's, Envoy Gateway's, forms users made, and lines that are broken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.decode.access_log import DecodedChunk, decode_chunk
from collector.decode.access_log_emitter import Emitter
from tests.collector.access_log_goldens import ALL, CLIENT, captured, plain, public_json_lines

ROW = {
    "start_time": "2026-11-21T12:00:40.242Z",
    "method": "GET",
    "path": "/ok",
    "protocol": "HTTP/1.1",
    "response_code": 200,
    "response_flags": "-",
    "response_code_details": "via_upstream",
    "duration": 9,
    "bytes_received": 0,
    "bytes_sent": 3,
    "upstream_cluster": "outbound|9080||reviews.default.svc.cluster.local",
    "upstream_host": "10.0.0.2:9080",
    "upstream_local_address": "10.0.0.1:1111",
    "downstream_remote_address": "10.0.0.1:2222",
    "downstream_local_address": "10.96.0.1:9080",
}


def line(**changes: Any) -> str:
    return json.dumps({name: value for name, value in (ROW | changes).items() if value is not ...})


def decode(*lines: str) -> DecodedChunk:
    return decode_chunk("\n".join(lines).encode("utf-8", "surrogatepass") + b"\n", 1, ALL, Emitter(CLIENT))


def one(*lines: str) -> dict[str, Any]:
    chunk = decode(*lines)
    assert not chunk.rejects, chunk.rejects
    (row,) = plain(chunk.requests) + plain(chunk.connections)
    return row


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"status_code": 200, "duration_us": 9000, "response_bytes": 3, "reporter": "source"}),
        (
            {"response_code": "200", "duration": "17", "bytes_sent": "4"},
            {"status_code": 200, "duration_us": 17000},
        ),
        ({"response_code": "-", "duration": "-"}, {"status_code": None, "duration_us": None}),
        ({"response_code": None, "duration": None}, {"status_code": None, "duration_us": None}),
        ({"duration": 2.6}, {"duration_us": 3000}),
        ({"duration": 10**30}, {"duration_us": None}),
        ({"method": None, "protocol": None, "response_code": 0}, {"protocol": "tcp", "status_code": None}),
        (
            {
                "method": None,
                "protocol": None,
                "response_code": 0,
                "response_code_details": None,
                "connection_termination_details": "rbac_access_denied_matched_policy[none]",
            },
            {"protocol": "tcp", "response_code_details": "rbac_access_denied_matched_policy[none]"},
        ),
        (
            {"connection_termination_details": "rbac_access_denied_matched_policy[none]"},
            {"protocol": "http", "response_code_details": "via_upstream"},
        ),
        ({"grpc_status": "PermissionDenied"}, {"protocol": "grpc", "grpc_status": 7}),
        ({"grpc_status": "PERMISSION_DENIED"}, {"grpc_status": 7}),
        ({"grpc_status": "OK"}, {"grpc_status": 0}),
        ({"grpc_status_number": 14}, {"grpc_status": 14}),
        ({"upstream_request_attempt_count": 3}, {"attempts": 3}),
        ({}, {"attempts": None}),
        (
            {"trace_id": "7baf9d76407e797a3242fef6af2a20b1"},
            {"trace_id": "7baf9d76-407e-797a-3242-fef6af2a20b1"},
        ),
        (
            {"traceparent": "00-7baf9d76407e797a3242fef6af2a20b1-7da27b58a50a633c-01"},
            {"trace_id": "7baf9d76-407e-797a-3242-fef6af2a20b1", "span_id": 0x7DA27B58A50A633C},
        ),
        ({"trace_id": "trace"}, {"trace_id": None}),
        ({"method": ..., ":method": "PUT", ":authority": "a:80"}, {"method": "PUT", "authority": "a:80"}),
        (
            {"request_id": ..., "x-request-id": "r", "user-agent": "u", "x-forwarded-for": "1.2.3.4"},
            {"request_id": "r", "user_agent": "u"},
        ),
        ({"x-envoy-origin-path": "/before", "path": "/after"}, {"path": "/before"}),
        ({"x-envoy-origin-path": "-", "path": "/after"}, {"path": "/after"}),
        (
            {"ai_log": "model:qwen", "n": 7, "deep": {"a": [1]}},
            {"attributes": {"ai_log": "model:qwen", "n": "7", "deep": '{"a": [1]}'}},
        ),
        ({"user_agent": "\ud800"}, {"user_agent": "\N{REPLACEMENT CHARACTER}"}),
        ({"odd \ud800 key": "kept", "user_agent": "u"}, {"user_agent": "u"}),
        ({"response_code": 10**17}, {"status_code": None}),
        ({"start_time": "2026-11-21T13:00:40.242+01:00"}, {"time": "2026-11-21 12:00:40.242000"}),
        ({"start_time": "1795262440.242"}, {"time": "2026-11-21 12:00:40.242000"}),
        ({"start_time": 1795262440242}, {"time": "2026-11-21 12:00:40.242000"}),
        ({"start_time": ..., "@timestamp": "2026-11-21T12:00:40Z"}, {"time": "2026-11-21 12:00:40"}),
        (
            {"downstream_direct_remote_address": "10.0.0.9:5", "downstream_remote_address": "203.0.113.8:0"},
            {"source_address": "10.0.0.9:5", "forwarded_for": "203.0.113.8"},
        ),
        ({"downstream_direct_remote_address": None}, {"source_address": "10.0.0.1:2222"}),
        (
            {"upstream_host": ..., "upstream_remote_address": "10.0.0.7:80"},
            {"upstream_address": "10.0.0.7:80"},
        ),
        ({"response_flags": ..., "response_flags_long": "NoRouteFound"}, {"response_flags": "NR"}),
        ({"downstream_peer_uri_san": "spiffe://a"}, {"source_principal": "spiffe://a", "tls": "mutual"}),
        (
            {"upstream_peer_uri_san": "spiffe://b"},
            {"destination_principal": "spiffe://b", "attributes": None},
        ),
        (
            {
                "upstream_cluster": "inbound|9080||",
                "x-forwarded-client-cert": "By=spiffe://x;URI=spiffe://far,By=spiffe://x;URI=spiffe://near",
                "downstream_local_uri_san": "spiffe://own",
            },
            {"source_principal": "spiffe://near", "destination_principal": "spiffe://own"},
        ),
        ({"duration_us": 8985}, {"duration_us": 8985}),
        ({"duration_us": "8985", "duration": "9"}, {"duration_us": 8985}),
        (
            {"request_duration": 1, "request_tx_duration": "2", "response_duration": 8},
            {"request_last_rx_us": 1000, "upstream_last_tx_us": 2000, "upstream_first_rx_us": 8000},
        ),
        ({"stream_id": "s"}, {"attributes": {"stream_id": "s"}}),
        ({"request_id": None, "stream_id": "s"}, {"request_id": "s", "attributes": None}),
    ],
)
@pytest.mark.parametrize("among", [0, 40], ids=["alone", "among others"])
def test_values_of_any_type_mean_the_same(
    changes: dict[str, Any], expected: dict[str, Any], among: int
) -> None:
    """Numbers, numbers as text, "-" and null are accepted for every field, alone or among others."""
    chunk = decode(*[line(request_id="other")] * among, line(**({"request_id": "it"} | changes)))
    assert not chunk.rejects
    rows = plain(chunk.requests) + plain(chunk.connections)
    assert len(rows) == among + 1
    row = next(row for row in rows if row.get("request_id") != "other")
    assert {name: row.get(name) for name in expected} == expected


def test_long_flags_are_the_short_ones() -> None:
    """A real Envoy wrote both names of every flag: without the short ones the rows are the same."""
    lines = [json.loads(text) for text in captured("client.ext.json").splitlines()]
    both = decode(*(json.dumps(one) for one in lines))
    long_only = decode(*(json.dumps(one | {"response_flags": None}) for one in lines))
    flags = both.requests["response_flags"].to_pylist()
    assert len(set(flags)) > 8
    assert long_only.requests["response_flags"].to_pylist() == flags


def test_a_broken_line_costs_its_neighbours_nothing() -> None:
    """Of a thousand lines only the broken ones are refused, each by its number."""
    lines = [line(path=f"/{number}") for number in range(1000)]
    broken = {17: '{"start_time": ', 400: "{}", 401: '{"a":1}{"b":2}', 402: "[1]", 999: lines[999][:-5]}
    for at, text in broken.items():
        lines[at] = text
    chunk = decode(*lines)
    assert [one.line - 1 for one in chunk.rejects] == sorted(broken)
    assert chunk.requests["path"].to_pylist() == [f"/{at}" for at in range(1000) if at not in broken]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (public_json_lines()[4], "Traefik"),
        ('{"level":"info","time":"2026-11-21T12:00:40Z","msg":"ready"}', "not an access-log line"),
        (line(start_time=None), "no start_time"),
        (line(start_time="yesterday"), "time cannot be read"),
        ("{" * 100_000, "not JSON"),
        ('{"start_time": NaN}', "not an access-log line"),
    ],
)
def test_what_is_no_access_log_line_is_refused_with_a_reason(text: str, reason: str) -> None:
    """Other programs log JSON to the same place: their lines are counted and named, not guessed at."""
    chunk = decode(text)
    (found,) = chunk.rejects
    assert reason in found.reason
    assert len(found.sample) <= 256


def test_only_ends_count_where_the_record_type_is_logged() -> None:
    """With %ACCESS_LOG_TYPE% start and periodic records are known by it, of HTTP and of TCP."""
    chunk = decode_chunk(captured("client.tcp.ext.json"), 1, ALL, Emitter(None))
    assert (chunk.connections.num_rows, chunk.skipped) == (2, 3)
    types = ["DownstreamStart", "DownstreamPeriodic", "UpstreamEnd", "DownstreamEnd", "NotSet"]
    chunk = decode(*(line(access_log_type=one) for one in types))
    assert (chunk.requests.num_rows, chunk.skipped) == (2, 3)


def test_key_order_and_unknown_keys_do_not_matter() -> None:
    """Envoy sorts keys, Istio's docs do not: rows of both in one file are the same rows."""
    turned = json.dumps(dict(reversed(list(ROW.items()))) | {"new_field": None})
    chunk = decode(line(), turned, line())
    rows = plain(chunk.requests)
    assert rows[0] == rows[1] == rows[2]
