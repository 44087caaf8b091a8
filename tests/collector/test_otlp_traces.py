"""OTLP traces: what Envoy and SDKs send becomes rows; what is bad is named and nothing else is lost."""

from __future__ import annotations

import uuid

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.decode import limits
from collector.decode.otlp_json import decode_traces_json
from collector.decode.otlp_traces import decode_traces
from store.schema import TABLES
from tests.collector.captures import ENVOY, exports, framed, lines

GOOD = {
    "trace_id": b"t" * 16,
    "span_id": b"s" * 8,
    "start_time_unix_nano": 10**18,
    "end_time_unix_nano": 10**18,
}
NODE = "sidecar~10.1.0.3~reviews-v2-7d99676f7f-xkq2p.shop~shop.svc.cluster.local"


def request(*spans: Span, **resource: str) -> bytes:
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    for key, value in resource.items():
        group.resource.attributes.add(key=key.replace("_", ".")).value.string_value = value
    group.scope_spans.add().spans.extend(spans)
    return message.SerializeToString()


def span(attributes: dict[str, str] | None = None, **fields: object) -> Span:
    made = Span(**(GOOD | fields))
    for key, value in (attributes or {}).items():
        made.attributes.add(key=key).value.string_value = value
    return made


def rows(*bodies: bytes, table: str = "spans") -> list[dict]:
    return decode_traces(exports(*bodies)).tables[table].to_pylist()


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)


def test_a_capture_reads_as_protobuf_reads_it() -> None:
    """Every span of a real Envoy capture has the ids, times, names and attributes google.protobuf reads."""
    bodies = framed("otlp_grpc_traces.raw.bin")
    expected = [
        (index, scope.scope.name, one)
        for index, body in enumerate(bodies)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for one in scope.spans
    ]
    decoded = decode_traces(exports(*bodies))
    assert (decoded.accepted, decoded.refused, decoded.rejected) == (len(expected), {}, {})
    for row, (index, scope_name, one) in zip(decoded.tables["spans"].to_pylist(), expected, strict=True):
        said = {pair.key: pair.value.string_value for pair in one.attributes}
        assert row["export"] == index
        assert row["trace_id"] == uuid.UUID(bytes=one.trace_id)
        assert row["span_id"] == int.from_bytes(one.span_id)
        assert row["parent_span_id"] == (int.from_bytes(one.parent_span_id) or None)
        assert row["time_ns"] == one.start_time_unix_nano
        assert row["duration_ns"] == one.end_time_unix_nano - one.start_time_unix_nano
        assert (row["name"], row["flags"], row["scope_name"]) == (one.name, one.flags, scope_name)
        assert row["kind"] == Span.SpanKind.Name(one.kind).removeprefix("SPAN_KIND_").lower()
        assert row["is_proxy"] is True
        if "node_id" in said:  # `async … egress` spans have none
            assert row["emitter"] == said["node_id"].split("~")[2]
        assert row["method"] == said.get("http.method")
        assert row["url"] == said.get("http.url")
        assert row["status_code"] == _int(said.get("http.status_code"))
        assert row["response_flags"] == (
            said["response_flags"].replace("-", "") if "response_flags" in said else None
        )
        assert row["upstream_cluster"] == said.get("upstream_cluster")
        assert row["peer_address"] == said.get("peer.address")
        assert row["request_id"] == said.get("guid:x-request-id")
        assert row["response_bytes"] == _int(said.get("response_size"))
        kept = dict(row["attributes"])
        assert all(said[key] == value for key, value in kept.items())
        assert {"istio.canonical_service", "zone"} & said.keys() <= kept.keys()
        assert not {"node_id", "component", "http.url", "upstream_cluster.name"} & kept.keys()


def test_tables_have_the_stores_schemas() -> None:
    """Every decoder's answer holds all tables of the shared vocabulary, even for nothing at all."""
    for bodies in ([], [b""], framed("otlp_grpc_traces.raw.bin")):
        tables = decode_traces(exports(*bodies)).tables
        assert {name: table.schema for name, table in tables.items()} == TABLES


def test_a_proxys_spans_teach_who_it_is() -> None:
    """One identity row per proxy of a batch, from its node id and istio tags."""
    found = rows(*framed("otlp_grpc_traces.raw.bin"), table="identities")
    said = [{key: row[key] for key in row if key not in ("export", "time")} for row in found]
    assert said == [
        {
            "evidence": "span",
            "emitter": "productpage-v1-564d4686f-t6s4m.default",
            "address": "10.244.0.8",
            "node_type": "sidecar",
            "cluster": "Kubernetes",
            "namespace": "default",
            "pod": "productpage-v1-564d4686f-t6s4m",
            "workload": "productpage-v1",
            "app": "productpage",
            "version": "v1",
            "service": None,
            "service_account": None,
            "zone": "eu-west1-b",
        }
    ]


def test_a_gateways_router_span_belongs_to_the_gateway() -> None:
    """A proxy's span without node id takes the only node id of its resource; with two, nobody can tell."""
    router = span({"component": "proxy", "upstream_address": "10.0.0.9:9080"}, name="router x egress")
    own = span({"component": "proxy", "node_id": NODE})
    other = span({"component": "proxy", "node_id": NODE.replace("v2", "v3")})
    emitter = "reviews-v2-7d99676f7f-xkq2p.shop"
    cases = {
        request(own, router): [emitter, emitter],
        request(own, router, other): [emitter, None, emitter.replace("v2", "v3")],
        request(router): ["@10.0.0.7"],
        request(span({"node_id": "plain-envoy", "component": "proxy"})): ["plain-envoy"],
        request(span({"http.method": "GET"})): [None],
    }
    for body, emitters in cases.items():
        assert [row["emitter"] for row in rows(body)] == emitters


def test_router_spans_of_a_capture_have_an_emitter() -> None:
    """In a real gateway-style capture no proxy's span stays without emitter."""
    decoded = decode_traces_json(exports(*lines("otlp_traces_spawn_http.jsonl")))
    spans = decoded.tables["spans"].to_pylist()
    assert spans
    assert all(row["emitter"] and not row["emitter"].startswith("@") for row in spans if row["is_proxy"])


@pytest.mark.parametrize(
    ("fields", "place", "reason"),
    [
        ({"trace_id": b"short"}, "trace_id", "has 5 bytes, expected 16 bytes, not all zero"),
        ({"trace_id": bytes(16)}, "trace_id", "has 16 zero bytes, expected 16 bytes, not all zero"),
        ({"span_id": b""}, "span_id", "has 0 bytes, expected 8 bytes, not all zero"),
        ({"parent_span_id": b"abc"}, "parent_span_id", "has 3 bytes, expected 0 or 8 bytes"),
        ({"start_time_unix_nano": 0}, "start_time_unix_nano", "is missing, expected"),
        ({"end_time_unix_nano": 1 << 63}, "end_time_unix_nano", "is 9223372036854775808, expected"),
    ],
)
def test_a_bad_span_is_rejected_alone(fields: dict[str, object], place: str, reason: str) -> None:
    """A bad record among good ones is named with its place and reason; the good ones are kept."""
    decoded = decode_traces(exports(request(span()), request(span(), span(**fields), span())))
    assert decoded.tables["spans"].num_rows == decoded.accepted == 3
    count, message = decoded.rejected[1]
    where = f"resource_spans[0].scope_spans[0].spans[1].{place}"
    assert count == 1
    assert where in message
    assert reason in message
    (reject,) = decoded.tables["rejects"].to_pylist()
    assert (reject["export"], reject["place"], reject["source"]) == (1, where, "otlp_traces")
    assert reject["reason"].startswith(reason)


def test_many_bad_spans_are_all_counted_and_few_described() -> None:
    """A million bad records must not cost a million rows."""
    decoded = decode_traces(exports(request(*[span(span_id=b"") for _ in range(500)], span())))
    assert decoded.rejected[0][0] == 500
    assert decoded.tables["rejects"].num_rows == limits.REJECTS_DESCRIBED
    assert decoded.accepted == 1


def test_broken_bytes_refuse_their_export_only() -> None:
    """Undecodable bytes name the offset where they break; exports beside them are decoded."""
    good = request(span({"a": "b"}))
    broken = good[:-1]
    decoded = decode_traces(exports(good, broken, b"\xff\xff\xff", good))
    assert decoded.accepted == 2
    assert decoded.tables["spans"].column("export").to_pylist() == [0, 3]
    assert decoded.refused.keys() == {1, 2}
    assert decoded.refused[1].offset == 0
    assert "breaks at byte 0" in decoded.refused[1].message
    inner = bytearray(good)
    inner[good.index(b"\x0a\x01b") + 1] = 9  # the value's length now runs past its message
    assert decode_traces(exports(bytes(inner))).refused[0].offset == good.index(b"\x0a\x01b")


def test_invalid_utf8_costs_only_the_invalid_characters() -> None:
    """One odd user agent must not reject a batch: its bad bytes become U+FFFD."""
    body = (ENVOY / "otlp_invalid_utf8_0_v1_traces.bin").read_bytes()
    decoded = decode_traces(exports(body))
    assert decoded.refused == {}
    assert "caf\ufffd" in decoded.tables["spans"].column("user_agent").to_pylist()
    assert {row["request_id"] is None for row in decoded.tables["spans"].to_pylist()} == {False}


def test_long_and_many_values_are_cut_and_counted() -> None:
    """Text is cut at a character, attributes beyond the limit are counted as dropped."""
    many = {f"k{number}": "v" for number in range(limits.ATTRIBUTES + 7)}
    (long,) = rows(request(span({"text": "x" + "é" * limits.TEXT_BYTES}, name="é" * limits.NAME_BYTES)))
    assert long["name"] == "é" * (limits.NAME_BYTES // 2)
    assert dict(long["attributes"])["text"] == "x" + "é" * (limits.TEXT_BYTES // 2 - 1)
    (wide,) = rows(request(span(many, dropped_attributes_count=5)))
    assert len(wide["attributes"]) == limits.ATTRIBUTES
    assert wide["dropped_attributes_count"] == 12


def test_an_oversized_span_is_rejected_and_an_endless_export_refused() -> None:
    """No record and no export expands without bound."""
    large = span({"a": "x" * limits.RECORD_BYTES})
    decoded = decode_traces(exports(request(large, span())))
    assert decoded.accepted == 1
    assert "at most 1048576 are read" in decoded.rejected[0][1]
    refused = decode_traces(exports(b"\x0a\x00" * (limits.GROUPS_PER_EXPORT + 1), request(span())))
    assert refused.refused[0].message.startswith("50001 resources in one export")
    assert refused.accepted == 1


def test_every_kind_of_value_becomes_text() -> None:
    """Numbers, booleans, arrays, maps and bytes read as JSON would print them; absent is null."""
    values = [
        {"key": "text", "value": {"string_value": ""}},
        {"key": "flag", "value": {"bool_value": True}},
        {"key": "whole", "value": {"int_value": "-7"}},
        {"key": "real", "value": {"double_value": 1.5}},
        {"key": "list", "value": {"array_value": {"values": [{"int_value": "1"}, {"string_value": "ü"}]}}},
        {"key": "map", "value": {"kvlist_value": {"values": [{"key": "k", "value": {"bool_value": False}}]}}},
        {"key": "raw", "value": {"bytes_value": "AAE="}},
        {"key": "none", "value": {}},
    ]
    one = span()
    for value in values:
        ParseDict(value, one.attributes.add())
    (row,) = rows(request(one))
    assert dict(row["attributes"]) == {
        "text": "",
        "flag": "true",
        "whole": "-7",
        "real": "1.5",
        "list": '[1,"ü"]',
        "map": '{"k":false}',
        "raw": "AAE=",
        "none": None,
    }


def test_an_applications_span_uses_the_new_names_and_keeps_the_rest() -> None:
    """OpenTelemetry's stable names become the same columns; integers may be integers."""
    one = span({"http.request.method": "POST", "url.full": "http://b/x", "rpc.status_code": "UNAVAILABLE"})
    one.attributes.add(key="http.response.status_code").value.int_value = 503
    one.attributes.add(key="http.status_code").value.string_value = "nonsense"
    one.attributes.add(key="component").value.string_value = "web"
    (row,) = rows(
        request(one, service_name="cart", k8s_pod_name="cart-6d5f8c9b7d-x2x4z", k8s_pod_ip="10.9.8.7")
    )
    assert (row["method"], row["url"], row["grpc_status"]) == ("POST", "http://b/x", 14)
    assert (row["is_proxy"], row["emitter"], row["service_name"]) == (False, "@10.9.8.7", "cart")
    assert row["status_code"] is None
    assert dict(row["attributes"]) == {
        "http.response.status_code": "503",
        "http.status_code": "nonsense",
        "component": "web",
    }
    (taught,) = rows(request(one, service_name="cart", k8s_pod_ip="10.9.8.7"), table="identities")
    assert (taught["evidence"], taught["address"], taught["app"]) == ("resource", "10.9.8.7", "cart")


def test_an_end_before_the_start_says_so() -> None:
    """A backwards span has duration 0 and keeps the end it was given."""
    (row,) = rows(request(span({"a": "b"}, end_time_unix_nano=5)))
    assert row["duration_ns"] == 0
    assert dict(row["attributes"]) == {"a": "b", "sidelight.end_before_start": "5"}


def test_events_and_links_keep_their_attributes() -> None:
    """Events and links are lists of their own, bounded, ids and attributes included."""
    one = span()
    for number in range(limits.EVENTS + 3):
        event = one.events.add(name=f"e{number}", time_unix_nano=number)
        event.attributes.add(key="n").value.int_value = number
    one.links.add(trace_id=b"T" * 16, span_id=b"\0" * 7 + b"\1").attributes.add(
        key="l"
    ).value.string_value = "x"
    one.links.add(trace_id=b"bad", span_id=b"bad")
    (row,) = rows(request(one))
    assert len(row["events"]) == limits.EVENTS
    assert row["dropped_events_count"] == 3
    assert row["events"][2] == {
        "time_ns": 2, "name": "e2", "attributes": [("n", "2")], "dropped_attributes_count": 0
    }  # fmt: skip
    assert row["links"][0] == {
        "trace_id": b"T" * 16,
        "span_id": 1,
        "trace_state": None,
        "attributes": [("l", "x")],
        "dropped_attributes_count": 0,
        "flags": 0,
    }
    assert (row["links"][1]["trace_id"], row["links"][1]["span_id"]) == (None, None)


def test_what_an_application_calls_is_read_from_old_and_new_attributes() -> None:
    """Address, system and name of the called side, by either convention; they stay in the map as well."""
    said = [
        {"server.address": "pay", "server.port": "8080", "peer.service": "payment"},
        {
            "net.peer.name": "pg.example.com",
            "net.peer.port": "5432",
            "db.system": "postgresql",
            "db.name": "orders",
        },
        {"db.system.name": "redis", "db.namespace": "0", "server.address": "::1", "server.port": "6379"},
        {"http.host": "old.example.com:81", "net.peer.port": "81"},
        {
            "messaging.system": "kafka",
            "messaging.destination.name": "orders",
            "messaging.operation.type": "send",
        },
        {"rpc.system.name": "grpc"},
    ]
    found = rows(request(*(span(one, kind=Span.SPAN_KIND_CLIENT) for one in said), service_name="shop"))
    names = ("target_kind", "target_system", "target_name", "target_address", "target_operation")
    assert [tuple(row[name] for name in names) for row in found] == [
        (None, None, "payment", "pay:8080", None),
        ("database", "postgresql", "orders", "pg.example.com:5432", None),
        ("database", "redis", "0", "[::1]:6379", None),
        (None, None, None, "old.example.com:81", None),
        ("queue", "kafka", "orders", None, "send"),
        (None, "grpc", None, None, None),
    ]
    assert [dict(row["attributes"]) for row in found] == said
    [served] = rows(request(span(said[0], kind=Span.SPAN_KIND_SERVER), service_name="shop"))
    assert served["target_address"] is None, "a server's own address is nobody it calls"


@pytest.mark.parametrize(
    ("resource", "emitter"),
    [
        ({"k8s.pod.name": "a-1", "k8s.namespace.name": "one", "k8s.pod.ip": "10.1.0.3"}, "a-1.one"),
        ({"k8s.pod.ip": "10.1.0.3", "service.name": "a"}, "@10.1.0.3"),
        ({"service.name": "a", "service.namespace": "one", "service.instance.id": "i"}, "a/i.one"),
        ({"service.name": "a", "service.namespace": "two", "service.version": "v2"}, "a/v2.two"),
        ({"service.name": "a.b"}, "a.b/."),
        ({}, None),
    ],
)
def test_an_applications_spans_name_their_emitter(resource: dict[str, str], emitter: str | None) -> None:
    """By its pod, as its sidecar does; else by the pod's address; else by service, instance and namespace."""
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    for key, value in resource.items():
        group.resource.attributes.add(key=key).value.string_value = value
    group.scope_spans.add().spans.append(span())
    decoded = decode_traces(exports(message.SerializeToString())).tables
    assert decoded["spans"]["emitter"].to_pylist() == [emitter]
    if emitter and "/" in emitter:
        [told] = decoded["identities"].to_pylist()
        assert (told["emitter"], told["app"], told["evidence"]) == (
            emitter,
            resource["service.name"],
            "resource",
        )
