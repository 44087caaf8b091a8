"""Envoy's access logs by OTLP: the same requests as its files tell, written by whom they can be."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.decode import identity
from collector.decode.access_log import decode_chunk
from collector.decode.access_log_emitter import Emitter
from collector.decode.otlp_access_fields import FIELD_KEYS
from collector.decode.otlp_logs import decode_logs
from collector.decode.types import Decoded, Export
from tests.collector.captures import CAPTURES, exports, framed
from tests.payloads import text

NODE = "sidecar~10.244.0.12~reviews-v1-7d99676f7f-xkq2p.default~default.svc.cluster.local"
REVIEWS = "reviews.default.svc.cluster.local"
START_NS = 1795262440242811000
_LINE_REQUEST = re.compile(
    r'^\[.{24}\] "\S+ \S+ HTTP/\S+" (?P<code>\d+) (?P<flags>\S+) (?P<details>\S+) .* "(?P<id>[-0-9a-f]{36})" '
)


def line(
    cluster: str = f"outbound|9080||{REVIEWS}",
    remote: str = "10.0.0.1:56940",
    own: str = "10.0.0.1:35366",
    local: str = "10.96.0.10:9080",
    code: int = 200,
    sni: str = "-",
    host: str = "10.0.0.7:9080",
) -> str:
    """One line of Istio's default format, with its newline, as Envoy sends it."""
    return (
        f'[2026-11-21T12:00:40.242Z] "GET /ok HTTP/1.1" {code} - via_upstream - "-" 0 3 9 6 "-" "curl/8.5.0" '
        f'"b1e2501d-ebd5-9db1-897d-7ef1fd7b9d8c" "reviews:9080" "{host}" {cluster} {own} '
        f"{local} {remote} {sni} default\n"
    )


def inbound(**changes: str) -> str:
    usual = {
        "cluster": "inbound|9080||",
        "local": "10.0.0.7:9080",
        "own": "127.0.0.6:41000",
        "host": "10.0.0.7:9080",
    }
    return line(**usual | changes)  # type: ignore[arg-type]


def body_of(*lines: str | LogRecord, **resource: str) -> bytes:
    message = ExportLogsServiceRequest()
    group = message.resource_logs.add()
    group.resource.attributes.extend(text(key.replace("__", "."), value) for key, value in resource.items())
    scope = group.scope_logs.add()
    for one in lines:
        if isinstance(one, str):
            record = LogRecord(time_unix_nano=START_NS)
            record.body.string_value = one
            one = record
        scope.log_records.append(one)
    return message.SerializeToString()


def labelled(body: str = "", **labels: str) -> LogRecord:
    record = LogRecord(time_unix_nano=START_NS)
    if body:
        record.body.string_value = body
    record.attributes.extend(text(key, value) for key, value in labels.items())
    return record


def decode(body: bytes, peer: str | None = "10.0.0.1") -> Decoded:
    return decode_logs([Export(body, peer, START_NS // 1000)])


def rows(decoded: Decoded) -> list[dict[str, Any]]:
    return decoded.tables["observations"].to_pylist()


@pytest.mark.parametrize("capture", ["otlp_http_logs.raw.bin", "otlp_grpc_logs.raw.bin"])
def test_every_request_of_a_real_capture_is_an_observation(capture: str) -> None:
    """Code, flags, details, request id, trace and start are those of the record; nothing stays a log."""
    bodies = framed(capture)
    sent = [
        record
        for body in bodies
        for group in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]
    decoded = decode_logs(exports(*bodies))
    assert decoded.accepted == len(sent)
    assert decoded.tables["logs"].num_rows == 0
    seen = {row["span_id"]: row for row in rows(decoded)}
    checked = 0
    for record in sent:
        found = _LINE_REQUEST.match(record.body.string_value)
        if found is None or (found["code"], found["flags"], found["details"]) == ("0", "-", "-"):
            continue
        row = seen[int.from_bytes(record.span_id)]
        assert row["signal"] == "otlp_log"
        assert row["status_code"] == int(found["code"])
        assert row["response_flags"] == found["flags"].replace("-", "")
        assert row["response_code_details"] == found["details"]
        assert row["request_id"] == found["id"]
        assert row["trace_id"].bytes == record.trace_id
        assert row["time"].timestamp() * 1e6 == pytest.approx(record.time_unix_nano / 1000 - 0, abs=1)
        checked += 1
    assert checked > 30


def test_what_otlp_and_the_file_say_of_a_request_is_the_same() -> None:
    """Envoy wrote the same requests to a file: each row of both has the same fields."""
    written = decode_chunk(
        (CAPTURES / "access_logs" / "server.istio.log").read_bytes(), 1, frozenset({"istio"}), Emitter(None)
    ).requests.to_pylist()
    # Attempts of one request share its id: what the two sides wrote is matched by start and peer as well.
    by_otlp = {_attempt(row): row for row in rows(decode_logs(exports(*framed("otlp_grpc_logs.raw.bin"))))}
    compared = 0
    for row in written:
        other = by_otlp.get(_attempt(row))
        if other is None:
            continue
        same = (
            "status_code",
            "response_flags",
            "response_code_details",
            "duration_us",
            "path",
            "upstream_cluster",
            "request_bytes",
            "response_bytes",
            "source_address",
            "tls",
        )
        assert {name: other[name] for name in same} == {name: row[name] for name in same}
        compared += 1
    assert compared > 20


def _attempt(row: dict[str, Any]) -> tuple[Any, ...]:
    start = row["time"].replace(microsecond=row["time"].microsecond // 1000 * 1000)
    return row["request_id"], row["source_address"], start, row["response_code_details"], row["path"]


def test_an_empty_resource_is_known_by_its_connection() -> None:
    """Istio's envoyOtelAls names nobody: the sending address is the pod's."""
    outbound, received = rows(decode(body_of(line(), inbound(local="10.0.0.1:9080", remote="10.0.0.9:1"))))
    assert (outbound["emitter"], outbound["reporter"]) == ("@10.0.0.1", "source")
    assert (received["emitter"], received["reporter"]) == ("@10.0.0.1", "destination")
    assert received["source_address"] == "10.0.0.9:1"


def test_behind_a_relay_the_row_names_its_pod() -> None:
    """An OpenTelemetry Collector sends for many: its address is nobody's, the rows' own addresses are."""
    failed = line(cluster=f"outbound|9080||{REVIEWS}", own="-", host="-", code=503)
    sent = body_of(line(), inbound(), failed)
    assert [row["emitter"] for row in rows(decode(sent, peer="10.0.9.9"))] == [
        "@10.0.0.1",
        "@10.0.0.7",
        "@10.0.0.1",
    ]


@pytest.mark.parametrize(
    ("resource", "labels", "emitter"),
    [
        ({"node_name": NODE}, {}, "reviews-v1-7d99676f7f-xkq2p.default"),
        ({}, {"node_id": NODE}, "reviews-v1-7d99676f7f-xkq2p.default"),
        ({"k8s__pod__name": "cart-0", "k8s__namespace__name": "shop"}, {}, "cart-0.shop"),
        ({}, {"pod_name": "cart-0", "pod_namespace": "shop"}, "cart-0.shop"),
        ({}, {"pod_name": "-", "pod_namespace": "-"}, "@10.0.0.1"),
    ],
)
def test_resources_and_labels_name_the_writer(
    resource: dict[str, str], labels: dict[str, str], emitter: str
) -> None:
    """Envoy's built-in labels, Kubernetes' attributes and the labels we recommend; '-' is no name."""
    decoded = decode(body_of(labelled(line(), **labels), **resource))
    (row,) = rows(decoded)
    assert row["emitter"] == emitter
    taught = {one["emitter"]: one for one in decoded.tables["identities"].to_pylist() if one["pod"]}
    assert (emitter in taught) == (not emitter.startswith("@"))
    assert dict(row["attributes"]).keys().isdisjoint(labels)


def test_each_recommended_label_reaches_its_column() -> None:
    """The fields a default line has no room for: each in its column, none of them left in the attributes."""
    told = {
        "downstream_direct_remote_address": ("10.0.0.9:55", {"source_address": "10.0.0.9:55"}),
        "downstream_peer_uri_san": ("spiffe://a", {"source_principal": "spiffe://a", "tls": "mutual"}),
        "downstream_local_uri_san": ("spiffe://b", {"destination_principal": "spiffe://b"}),
        "upstream_peer_uri_san": ("-", {}),
        "duration_us": ("9123", {"duration_us": 9123}),
        "grpc_status_number": ("14", {"grpc_status": 14, "protocol": "grpc"}),
        "upstream_request_attempt_count": ("2", {"attempts": 2}),
        "access_log_type": ("DownstreamEnd", {}),
        "trace_id": ("7baf9d76407e797a3242fef6af2a20b1", {}),
        "stream_id": ("b1e2501d-ebd5-9db1-897d-7ef1fd7b9d8c", {}),
        "response_flags_long": ("-", {}),
    }
    hidden = inbound(remote="203.0.113.9:0")
    (row,) = rows(decode(body_of(labelled(hidden, **{key: value for key, (value, _) in told.items()}))))
    expected = {name: value for _, columns in told.values() for name, value in columns.items()}
    assert {name: row[name] for name in expected} == expected
    assert row["trace_id"].hex == told["trace_id"][0]
    assert row["forwarded_for"] == "203.0.113.9"
    assert dict(row["attributes"]) == {"upstream_service_time": "6"}


def test_a_label_that_says_nothing_leaves_the_next_name_its_turn() -> None:
    """`x-envoy-original-path` is mostly '-': the path is then what `path` says."""
    labels = {"response_code": "200", "response_flags": "-", "x-envoy-original-path": "-", "path": "/ok"}
    (row,) = rows(decode(body_of(labelled(**labels))))
    assert (row["path"], row["attributes"]) == ("/ok", [])


def test_envoys_built_in_labels_are_read_and_none_is_lost() -> None:
    """Node, zone and application name the writer; whatever else the resource says stands with each row."""
    builtin = {
        "log_name": "otel",
        "zone_name": "zone-a",
        "cluster_name": "reviews.default",
        "node_name": NODE,
    }
    decoded = decode(body_of(line(), line(), **builtin, team="blue"))
    first, second = rows(decoded)
    assert first["emitter"] == "reviews-v1-7d99676f7f-xkq2p.default"
    kept = {"upstream_service_time": "6", "resource.log_name": "otel", "resource.team": "blue"}
    assert dict(first["attributes"]) == dict(second["attributes"]) == kept
    (learned,) = [row for row in decoded.tables["identities"].to_pylist() if row["zone"]]
    assert (learned["zone"], learned["app"], learned["node_type"]) == ("zone-a", "reviews", "sidecar")


def test_a_body_of_another_format_is_kept() -> None:
    """The attributes are the fields; what the user's own text says beside them is not thrown away."""
    fields = {"response_code": "200", "response_flags": "-"}
    (row,) = rows(decode(body_of(labelled("GET took 9 ms\n", **fields))))
    assert row["attributes"] == [("body", "GET took 9 ms")]


def test_peers_of_labels_are_learned() -> None:
    """%FILTER_STATE(upstream_peer)% names the pod that was called, %FILTER_STATE(downstream_peer)% the caller."""
    called = labelled(
        line(), upstream_peer='{"workload":"reviews-v2","namespace":"shop","name":"reviews-v2-0"}'
    )
    caller = labelled(
        inbound(remote="10.0.0.9:5"), downstream_peer="k8s.deployment.name=web,k8s.namespace.name=shop"
    )
    found = decode(body_of(called, caller)).tables["identities"].to_pylist()
    peers = {(row["address"], row["workload"]) for row in found if row["evidence"] == "peer"}
    assert peers == {("10.0.0.7", "reviews-v2"), ("10.0.0.9", "web")}


def test_labels_describe_the_workload() -> None:
    """Workload, app, version and cluster as labels say them are what the registry learns."""
    said = {
        "pod_name": "cart-0",
        "pod_namespace": "shop",
        "workload_name": "cart",
        "canonical_name": "cart",
        "canonical_revision": "v7",
        "cluster_id": "east",
    }
    (learned,) = decode(body_of(labelled(line(), **said))).tables["identities"].to_pylist()
    shown = {name: learned[name] for name in ("workload", "app", "version", "cluster", "address", "evidence")}
    assert shown == {
        "workload": "cart",
        "app": "cart",
        "version": "v7",
        "cluster": "east",
        "address": "10.0.0.1",
        "evidence": "resource",
    }


def test_attributes_alone_are_enough() -> None:
    """A format of the user's own, without a line in the body: the fields are attributes."""
    fields = {
        "response_code": "200", "response_flags": "URX", "method": "POST", "path": "/x", "protocol": "HTTP/2",
        "duration": "12", "upstream_cluster": f"outbound|80|v2|{REVIEWS}", "downstream_remote_address": "10.0.0.1:5",
        "upstream_request_attempt_count": "3", "grpc_status_number": "14", "team": "blue",
    }  # fmt: skip
    (row,) = rows(decode(body_of(labelled(**fields))))
    shown = {
        name: row[name]
        for name in ("status_code", "response_flags", "duration_us", "attempts", "grpc_status", "protocol")
    }
    assert shown == {
        "status_code": 200,
        "response_flags": "URX",
        "duration_us": 12000,
        "attempts": 3,
        "grpc_status": 14,
        "protocol": "grpc",
    }
    assert row["attributes"] == [("team", "blue")]
    assert row["time"].microsecond == 242811


def test_attributes_win_over_the_line_unless_they_say_nothing() -> None:
    """The label a user added is what they meant; Envoy's '-' is not a value."""
    (row,) = rows(
        decode(body_of(labelled(line(), response_code="504", response_flags="UT", upstream_cluster="-")))
    )
    assert (row["status_code"], row["response_flags"], row["upstream_cluster"]) == (
        504,
        "UT",
        f"outbound|9080||{REVIEWS}",
    )


def test_a_gateway_is_told_by_its_strangers() -> None:
    """Most callers are not the proxy's own pod, or the listener is its pod's: all its rows are a gateway's."""
    strangers = [line(remote=f"203.0.113.{number}:7") for number in range(3)]
    hidden = line(remote="203.0.113.9:0", local="10.0.0.1:8080")
    no_route = line(cluster="-", own="-", host="-", code=404, remote="203.0.113.8:1")
    assert {row["reporter"] for row in rows(decode(body_of(*strangers, hidden, no_route)))} == {"gateway"}
    forwarded = line(remote="203.0.113.9:0", local="10.96.0.10:9080")
    assert [row["reporter"] for row in rows(decode(body_of(line(), forwarded)))] == ["source", "source"]


def test_callers_name_the_service_by_sni() -> None:
    """Mutual TLS shows service and subset the caller meant: the one thing an empty resource teaches."""
    sni = f"outbound_.9080_.v2_.{REVIEWS}"
    (learned,) = decode(body_of(inbound(sni=sni)), peer="10.0.0.7").tables["identities"].to_pylist()
    shown = {name: learned[name] for name in ("emitter", "address", "service", "version", "evidence")}
    assert shown == {
        "emitter": "@10.0.0.7",
        "address": "10.0.0.7",
        "service": REVIEWS,
        "version": "v2",
        "evidence": "sni",
    }


def test_json_bodies_are_read_too() -> None:
    """A body of Istio's JSON format, as text or as OTLP's own map, is the same request."""
    fields = {
        "start_time": "2026-11-21T12:00:40.242Z",
        "response_code": 200,
        "response_flags": "-",
        "method": "GET",
        "path": "/ok",
        "duration": 9,
        "upstream_cluster": f"outbound|9080||{REVIEWS}",
    }
    as_map = LogRecord(time_unix_nano=START_NS)
    for key, value in fields.items():
        pair = as_map.body.kvlist_value.values.add(key=key)
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value
    both = rows(decode(body_of(json.dumps(fields), as_map)))
    assert [(row["status_code"], row["duration_us"], row["path"]) for row in both] == [(200, 9000, "/ok")] * 2


def test_what_only_resembles_an_access_log_stays_a_log() -> None:
    """Quoted lines, JSON of an application, attributes of a web framework: nobody's request is made of them."""
    alike = [
        'last line was [2026-11-21T12:00:40.242Z] "GET /',
        '[2026-11-21T12:00:40.242Z] "GET /ok HTTP/1.1" and then it stopped',
        '{"start_time": "yesterday", "job": "backup"}',
    ]
    framework = labelled("handled", method="GET", path="/x", duration="3", response_code="200")
    decoded = decode(body_of(*alike, framework))
    assert rows(decoded) == []
    assert [row["body"] for row in decoded.tables["logs"].to_pylist()] == [*alike, "handled"]
    assert decoded.accepted == 4


def test_logs_and_requests_of_one_export_are_told_apart() -> None:
    """An application's record beside an access log: each becomes what it is."""
    decoded = decode(body_of("started", line(), "stopped"))
    assert len(rows(decoded)) == 1
    assert [row["body"] for row in decoded.tables["logs"].to_pylist()] == ["started", "stopped"]


def test_records_of_unfinished_requests_are_no_requests() -> None:
    """A start or periodic record (code 0, no flags, no details) is taken and counts nowhere."""
    begun = line(code=0).replace("via_upstream", "-")
    marked = labelled(line(), access_log_type="DownstreamPeriodic")
    ended = labelled(line(), access_log_type="DownstreamEnd")
    decoded = decode(body_of(begun, marked, ended))
    assert (len(rows(decoded)), decoded.tables["logs"].num_rows, decoded.accepted) == (1, 0, 3)


def test_a_record_without_a_time_starts_when_its_line_says() -> None:
    """The line's start before the moment it was received; a start that is none falls back to that."""
    starts = [
        "2026-10-31T12:00:40.242Z",
        "2026-10-31T12:00:40",
        "2026-02-31T12:00:40Z",
        "2026-99-99T12:00:40Z",
        "soon",
    ]
    records = [labelled(response_code="200", response_flags="-", start_time=start) for start in starts]
    for record in records:
        record.time_unix_nano = 0
    said = rows(decode(body_of(*records)))
    assert len(said) == len(starts)
    assert [row["time"].isoformat() for row in said[:2]] == [
        "2026-10-31T12:00:40.242000",
        "2026-10-31T12:00:40",
    ]
    assert {row["time"].microsecond for row in said[3:]} == {START_NS // 1000 % 1_000_000}


def test_bytes_that_are_no_text_cost_nobody_else() -> None:
    """A user agent with bytes that are no UTF-8 is repaired; its neighbours are as they were."""
    sent = body_of(line(), line()).replace(b"curl/8.5.0", b"curl\xff8.5.0", 1)
    first, second = rows(decode(sent))
    assert (first["user_agent"], second["user_agent"]) == ("curl\ufffd8.5.0", "curl/8.5.0")


def test_the_labels_we_recommend_are_those_we_read() -> None:
    """Every label of docs/inputs.md names the writer or is a field of the line."""
    shown = (CAPTURES.parents[1] / "docs" / "inputs.md").read_text()
    block = shown.split("labels:\n")[1].split("```")[0]
    recommended = set(re.findall(r"^ +([a-z_]+): ", block, re.MULTILINE))
    read = {key for keys in (*identity.LOG_LABELS.values(), *FIELD_KEYS.values()) for key in keys}
    assert recommended
    assert recommended <= read
