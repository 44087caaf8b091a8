"""Envoy's access log stream: every ended request and connection becomes one observation, fully told."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest

from collector.decode.als_node import read_identifier
from collector.decode.envoy_als import decode_als, split_identifier
from collector.decode.types import Decoded, Export
from tests.collector import wire_writer as wire
from tests.collector.captures import RECEIVED_US, exports, framed, json_lines

_FLAGS = {
    "failed_local_healthcheck": "LH",
    "no_healthy_upstream": "UH",
    "upstream_request_timeout": "UT",
    "local_reset": "LR",
    "upstream_remote_reset": "UR",
    "upstream_connection_failure": "UF",
    "upstream_connection_termination": "UC",
    "upstream_overflow": "UO",
    "no_route_found": "NR",
    "delay_injected": "DI",
    "fault_injected": "FI",
    "rate_limited": "RL",
    "unauthorized_details": "UAEX",
    "rate_limit_service_error": "RLSE",
    "downstream_connection_termination": "DC",
    "upstream_retry_limit_exceeded": "URX",
    "stream_idle_timeout": "SI",
    "invalid_envoy_request_headers": "IH",
    "downstream_protocol_error": "DPE",
    "upstream_max_stream_duration_reached": "UMSDR",
    "response_from_cache_filter": "RFCF",
    "no_filter_config_found": "NFCF",
    "duration_timeout": "DT",
    "upstream_protocol_error": "UPE",
    "no_cluster_found": "NC",
    "overload_manager": "OM",
    "dns_resolution_failure": "DF",
    "downstream_remote_reset": "DR",
}
_VERSIONS = {"HTTP10": "1.0", "HTTP11": "1.1", "HTTP2": "2", "HTTP3": "3"}
_TIMES = {
    "request_last_rx_us": "time_to_last_rx_byte",
    "upstream_first_tx_us": "time_to_first_upstream_tx_byte",
    "upstream_last_tx_us": "time_to_last_upstream_tx_byte",
    "upstream_first_rx_us": "time_to_first_upstream_rx_byte",
    "upstream_last_rx_us": "time_to_last_upstream_rx_byte",
    "downstream_first_tx_us": "time_to_first_downstream_tx_byte",
    "downstream_last_tx_us": "time_to_last_downstream_tx_byte",
    "duration_us": "duration",
}


def entries(kind: str) -> list[tuple[int, dict[str, Any]]]:
    """The capture's entries of a kind ('http', 'tcp') that end something, as Envoy's own JSON tells them."""
    ends = {"http": "DownstreamEnd", "tcp": "TcpConnectionEnd"}[kind]
    return [
        (index, entry)
        for index, message in enumerate(json_lines("als_stream_messages.jsonl"))
        for entry in message.get(f"{kind}_logs", {}).get("log_entry", [])
        if entry["common_properties"]["access_log_type"] == ends
    ]


def capture() -> Decoded:
    return decode_als(exports(*framed("als.raw.bin")))


def address(common: dict[str, Any], name: str) -> str | None:
    socket = common.get(name, {}).get("socket_address")
    return f"{socket['address']}:{socket.get('port_value', 0)}" if socket else None


def micros(text: str | None) -> int | None:
    if text is None:
        return None
    whole, _, fraction = text.removesuffix("s").partition(".")
    return int(whole) * 10**6 + int((fraction + "000000")[:6])


def test_a_capture_reads_as_envoys_own_json_tells_it() -> None:
    """Every ended entry of a real capture is one row that says what Envoy's protojson says."""
    decoded = capture()
    rows = decoded.tables["observations"].to_pylist()
    http, tcp = entries("http"), entries("tcp")
    assert (decoded.refused, decoded.rejected) == ({}, {})
    assert len(rows) == len(http) + len(tcp)
    assert decoded.accepted > len(rows)  # periodic entries are accepted and not stored
    for row, (index, entry) in zip(rows, http + tcp, strict=True):
        common = entry["common_properties"]
        assert (row["export"], row["signal"]) == (index, "als")
        assert row["time"] == datetime.fromisoformat(common["start_time"]).replace(tzinfo=None)
        assert {name: row[name] for name in _TIMES} == {
            name: micros(common.get(field)) for name, field in _TIMES.items()
        }
        assert row["source_address"] == address(common, "downstream_direct_remote_address")
        assert row["upstream_address"] == address(common, "upstream_remote_address")
        assert row["upstream_local_address"] == address(common, "upstream_local_address")
        assert row["downstream_local_address"] == address(common, "downstream_local_address")
        assert row["upstream_cluster"] == (common.get("upstream_cluster", "").rstrip(";") or None)
        assert row["route"] == common.get("route_name")
        flags = common.get("response_flags", {})
        assert row["response_flags"] == ",".join(_FLAGS[name] for name in _FLAGS if name in flags)
        tls = common.get("tls_properties", {})
        assert row["sni"] == tls.get("tls_sni_hostname")
        peer = tls.get("peer_certificate_properties", {}).get("subject_alt_name", [{}])
        assert row["source_principal"] == peer[0].get("uri")
        assert row["tls"] == ("mutual" if peer != [{}] else "simple" if tls else "none")
        said = dict(row["attributes"])
        assert common.get("custom_tags", {}).items() <= said.items()
        reason = common.get("upstream_transport_failure_reason")
        assert said.get("upstream_transport_failure_reason") == reason


def test_http_entries_of_the_capture() -> None:
    """Method, path, codes, sizes, ids and gRPC status are what Envoy's JSON says."""
    rows = [row for row in capture().tables["observations"].to_pylist() if row["protocol"] != "tcp"]
    for row, (_, entry) in zip(rows, entries("http"), strict=True):
        request, response = entry.get("request", {}), entry.get("response", {})
        assert row["method"] == request.get("request_method")
        assert row["path"] == request.get("original_path", request.get("path"))
        assert row["authority"] == request.get("authority")
        assert row["http_version"] == _VERSIONS.get(entry.get("protocol_version", ""))
        assert row["status_code"] == response.get("response_code", 0)
        assert row["response_code_details"] == response.get("response_code_details")
        assert row["request_bytes"] == int(request.get("request_body_bytes", 0))
        assert row["response_bytes"] == int(response.get("response_body_bytes", 0))
        assert row["request_id"] == request.get("request_id")
        assert row["user_agent"] == request.get("user_agent")
        assert row["attempts"] == entry["common_properties"].get("upstream_request_attempt_count", 0)
        headers = response.get("response_headers", {}) | response.get("response_trailers", {})
        grpc = headers.get("grpc-status")
        assert row["grpc_status"] == (None if grpc is None else int(grpc))
        parent = request.get("request_headers", {}).get("traceparent")
        if parent:
            assert row["trace_id"] == uuid.UUID(parent.split("-")[1])
            assert row["span_id"] == int(parent.split("-")[2], 16)
    assert {row["protocol"] for row in rows} == {"http", "grpc"}
    assert all(row["protocol"] == "grpc" for row in rows if (row["path"] or "").startswith("/test.Svc/"))


def test_connections_of_the_capture() -> None:
    """A connection has bytes both ways and no code; periodic entries of it make no row."""
    rows = [row for row in capture().tables["observations"].to_pylist() if row["protocol"] == "tcp"]
    for row, (_, entry) in zip(rows, entries("tcp"), strict=True):
        moved = entry.get("connection_properties", {})
        assert row["request_bytes"] == int(moved.get("received_bytes", 0))
        assert row["response_bytes"] == int(moved.get("sent_bytes", 0))
        assert (row["status_code"], row["grpc_status"], row["method"]) == (None, None, None)


def test_the_identifier_is_split_off_and_read_once() -> None:
    """The first message's identifier names the proxy of every later message of the stream."""
    first, *_ = framed("als.raw.bin")
    identifier = split_identifier(first)
    assert identifier is not None
    assert split_identifier(framed("als.raw.bin")[5]) is None
    node = read_identifier(identifier)
    assert read_identifier(bytes(bytearray(identifier))) is node
    decoded = decode_als(exports(framed("als.raw.bin")[4], identifier=identifier))
    emitters = decoded.tables["observations"].column("emitter").to_pylist()
    assert set(emitters) == {"reviews-v1-7d99676f7f-xkq2p.default"}
    (taught,) = decoded.tables["identities"].to_pylist()
    assert {name: taught[name] for name in taught if name not in ("export", "time")} == {
        "evidence": "als_node",
        "emitter": "reviews-v1-7d99676f7f-xkq2p.default",
        "address": "10.244.0.12",
        "node_type": "sidecar",
        "cluster": "Kubernetes",
        "namespace": "default",
        "pod": "reviews-v1-7d99676f7f-xkq2p",
        "workload": "reviews-v1",
        "app": "reviews",
        "version": "v1",
        "service": None,
        "service_account": "bookinfo-reviews",
        "zone": "eu-west1-b",
    }


def _struct(fields: dict[str, Any]) -> bytes:
    """A google.protobuf.Struct of texts and objects."""
    members = b""
    for key, value in fields.items():
        member = wire.message(5, _struct(value)) if isinstance(value, dict) else wire.text(3, value)
        members += wire.message(1, wire.text(1, key) + wire.message(2, member))
    return members


@pytest.mark.parametrize(
    ("cluster", "metadata", "app", "version"),
    [
        ("other.shop", {"LABELS": {"app": "cart", "version": "v3"}}, "cart", "v3"),
        ("other.shop", {"app": "cart", "version": "v3", "istio": "sidecar"}, "cart", "v3"),
        ("cart.shop", {}, "cart", None),
        ("cart.shop", {"WORKLOAD_NAME": "cart-v3"}, "cart-v3", None),
        ("cart", {}, "cart", None),
        ("", {}, None, None),
    ],
    ids=["labels", "Istio 1.1", "Istio's node cluster", "workload", "another mesh's", "nothing"],
)
def test_an_application_is_known_by_its_labels_else_by_its_nodes_cluster(
    cluster: str, metadata: dict[str, Any], app: str | None, version: str | None
) -> None:
    """Istio wrote labels beside the other metadata once; a node that says none is still of some cluster."""
    node = wire.text(1, "sidecar~10.0.0.4~cart-0.shop~x") + wire.text(2, cluster)
    found = read_identifier(wire.message(1, node + wire.message(3, _struct(metadata))))
    assert (found.app, found.version) == (app, version)


def test_the_two_sides_of_a_request_agree() -> None:
    """A caller's upstream local address is the callee's source: sides join on it and the request id."""
    rows = [row for row in capture().tables["observations"].to_pylist() if row["upstream_cluster"]]
    sent = [row for row in rows if row["upstream_cluster"].startswith("outbound|")]
    received = [row for row in rows if row["upstream_cluster"].startswith("inbound|")]
    callers = {(row["request_id"], row["upstream_local_address"]) for row in sent}
    callees = {(row["request_id"], row["source_address"]) for row in received}
    assert len(callees) > 50
    assert callees <= callers


NODE = "sidecar~10.1.0.3~reviews-v2-abc.shop~shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("node_id", "cluster", "source", "reporter"),
    [
        (NODE, "outbound|9080||reviews.shop.svc.cluster.local;", "10.1.0.3", "source"),
        (NODE, "inbound|9080||;", "10.1.0.9", "destination"),
        (NODE, "inbound-vip|80|http|x.shop.svc.cluster.local", "10.1.0.9", "waypoint"),
        (NODE, "InboundPassthroughCluster", "10.1.0.9", "destination"),
        (NODE, "PassthroughCluster", "10.1.0.3", "source"),
        (NODE.replace("sidecar", "router"), "outbound|80||x", "10.1.0.9", "gateway"),
        (NODE.replace("sidecar", "router"), "", "10.1.0.9", "gateway"),
        (NODE, "", "10.1.0.3", "source"),
        (NODE, "", "10.1.0.9", "destination"),
        ("plain", "", "10.0.0.7", "source"),
        ("", "", "10.1.0.9", "destination"),
        ("", "outbound|80||x", "fd00::1", "source"),
    ],
)
def test_who_reported(node_id: str, cluster: str, source: str, reporter: str) -> None:
    """The cluster tells the side; without one the node's type does, else whether the peer is the own pod."""
    identifier = wire.identifier(node_id)
    entry = wire.http_entry(wire.common(cluster=cluster, source=source))
    (row,) = _rows(wire.http_message(entry), identifier=identifier)
    assert row["reporter"] == reporter
    assert row["upstream_cluster"] == (cluster.rstrip(";") or None)
    assert row["source_address"] == (f"[{source}]:1234" if ":" in source else f"{source}:1234")
    parts = node_id.split("~")
    assert row["emitter"] == (parts[2] if len(parts) > 1 else node_id or "@10.0.0.7")


def _rows(message: bytes, identifier: bytes | None = None) -> list[dict[str, Any]]:
    decoded = decode_als([Export(message, "10.0.0.7", RECEIVED_US, identifier)])
    assert (decoded.refused, decoded.rejected) == ({}, {})
    return decoded.tables["observations"].to_pylist()


def test_only_ends_make_rows() -> None:
    """Entries that begin, continue or attempt something are accepted, not stored; untyped old ones count."""
    kept = {}
    for kind in range(15):
        message = wire.http_message(wire.http_entry(wire.common(log_type=kind)))
        decoded = decode_als(exports(message))
        assert decoded.accepted == 1
        kept[kind] = decoded.tables["observations"].num_rows
    assert [kind for kind, count in kept.items() if count] == [0, 6]
    old = wire.http_message(wire.http_entry(wire.common(log_type=0) + wire.number(27, 1)))
    assert decode_als(exports(old)).tables["observations"].num_rows == 0


def test_what_absence_means() -> None:
    """No response is code 0, an X-Forwarded-For address is no peer, uncounted attempts are unknown."""
    forwarded = wire.common(source=None) + wire.message(2, wire.address("9.9.9.9", 0))
    none, counted, uncounted = _rows(
        wire.http_message(
            wire.http_entry(forwarded),
            wire.http_entry(wire.common()),
            wire.http_entry(wire.common() + wire.message(13, wire.address("10.1.0.8", 80))),
        )
    )
    assert (none["status_code"], none["source_address"], none["grpc_status"]) == (0, None, None)
    assert (counted["attempts"], uncounted["attempts"]) == (0, None)
    assert (counted["tls"], counted["duration_us"], counted["trace_id"]) == ("none", None, None)


def test_why_a_connection_ended_are_its_details() -> None:
    """A connection has no response code details; what Envoy did to it (here RBAC) stands in their place."""
    denied = "rbac_access_denied_matched_policy[none]"
    why, plain = (wire.common(log_type=3) + more for more in (wire.text(25, denied), b""))
    message = wire.message(3, wire.message(1, wire.message(1, why)) + wire.message(1, wire.message(1, plain)))
    assert [row["response_code_details"] for row in _rows(message)] == [denied, None]


def test_a_bad_entry_is_rejected_alone_and_broken_bytes_refuse_one_message() -> None:
    """An entry without start is named with its place; a message cut short is refused with its offset."""
    good = wire.http_entry(wire.common())
    bad = wire.http_entry(wire.common(seconds=0))
    message = wire.http_message(good, bad, good)
    decoded = decode_als(exports(message, message[:-3], message))
    assert decoded.tables["observations"].column("export").to_pylist() == [0, 0, 2, 2]
    assert "http_logs[0].log_entry[1].common_properties.start_time" in decoded.rejected[2][1]
    assert decoded.refused[1].offset == 0


def test_what_breaks_in_an_entry_that_makes_no_row_refuses_its_message() -> None:
    """A periodic record is not stored; that its address is no address is told all the same."""
    periodic = wire.common(source=None, log_type=5)
    whole, broken = (
        wire.http_message(wire.http_entry(periodic + wire.message(20, raw))) for raw in (b"", b"\x0a\x05x")
    )
    decoded = decode_als(exports(whole, broken))
    assert (decoded.accepted, list(decoded.refused)) == (1, [1])


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", "0af7651916cd43dd8448eb211c80319c"),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00000000000000005a5a5a5a5a5a5a5a"),
        ("00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", "00000000000000005a5a5a5a5a5a5a5a"),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", "00000000000000005a5a5a5a5a5a5a5a"),
        ("\u00e9" * 60, "00000000000000005a5a5a5a5a5a5a5a"),
    ],
    ids=["as today", "longer", "capitals", "no dash", "cut short", "not ASCII"],
)
def test_a_trace_is_taken_from_a_whole_traceparent_else_from_b3(traceparent: str, trace_id: str) -> None:
    """Beside a row without either, so that not all rows of the call agree."""
    headers = {"traceparent": traceparent, "x-b3-traceid": "5a" * 8, "x-b3-spanid": "5a" * 8}
    request = b"".join(
        wire.message(13, wire.text(1, key) + wire.text(2, value)) for key, value in headers.items()
    )
    entry = wire.message(1, wire.common()) + wire.message(3, request)
    first, second = (
        row["trace_id"] for row in _rows(wire.http_message(entry, wire.http_entry(wire.common())))
    )
    assert (first, second) == (uuid.UUID(trace_id), None)
