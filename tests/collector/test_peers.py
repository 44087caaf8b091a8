"""Istio's peer metadata: in all its forms it names the pod at the other end of a connection."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from collector.decode.access_log import decode_chunk
from collector.decode.access_log_emitter import Emitter
from collector.decode.envoy_als import decode_als
from collector.decode.peers import flat_node_json, read_peer
from tests.collector import wire_writer as wire
from tests.collector.access_log_goldens import ALL
from tests.collector.captures import exports

REVIEWS = {
    "pod": "reviews-v2-7f9c4d8b6-x2x4z",
    "namespace": "shop",
    "workload": "reviews-v2",
    "app": "reviews",
    "version": "v2",
    "cluster": "east",
}
OBJECT = {
    "name": REVIEWS["pod"],
    "namespace": "shop",
    "workload": "reviews-v2",
    "service": "reviews",
    "revision": "v2",
    "cluster": "east",
    "type": "deployment",
}
BAGGAGE = (
    "k8s.deployment.name=reviews-v2,k8s.namespace.name=shop,service.name=reviews,service.version=v2,"
    f"k8s.cluster.name=east,k8s.instance.name={REVIEWS['pod']}"
)
# Made with the flatbuffers package from istio/proxy's node_info.fbs.
FLAT_NODE = base64.b64decode(
    "IAAAAAAAGgAoABwAGAAkABQAEAAAAAwACAAAAAQAIAAaAAAAPAAAAEQAAABUAAAAXAAAAGgAAACsAAAAtAAAAAgAAADMAAAAAQAAAAQAAAAI"
    "AAAAMTAuMC4wLjcAAAAABAAAAGVhc3QAAAAADQAAAGNsdXN0ZXIubG9jYWwAAAAFAAAAMS44LjMAAAAKAAAAcmV2aWV3cy12MgAAQAAAAGt1"
    "YmVybmV0ZXM6Ly9hcGlzL2FwcHMvdjEvbmFtZXNwYWNlcy9zaG9wL2RlcGxveW1lbnRzL3Jldmlld3MtdjIAAAAABAAAAHNob3AAAAAAGgAA"
    "AHJldmlld3MtdjItN2Y5YzRkOGI2LXgyeDR6AAACAAAAMAAAAAQAAADg////CAAAAAwAAAACAAAAdjIAAAcAAAB2ZXJzaW9uAAgADAAIAAQA"
    "CAAAAAgAAAAQAAAABwAAAHJldmlld3MAAwAAAGFwcAA="
)
NODE_METADATA = {
    "NAME": REVIEWS["pod"],
    "NAMESPACE": "shop",
    "WORKLOAD_NAME": "reviews-v2",
    "CLUSTER_ID": "east",
    "LABELS": {"app": "reviews", "version": "v2"},
}


def any_of(kind: str, value: bytes) -> bytes:
    return wire.text(1, f"type.googleapis.com/google.protobuf.{kind}") + wire.message(2, value)


def as_struct(node: dict[str, Any]) -> bytes:
    fields = b""
    for key, value in node.items():
        member = wire.message(5, as_struct(value)) if isinstance(value, dict) else wire.text(3, value)
        fields += wire.message(1, wire.text(1, key) + wire.message(2, member))
    return fields


def learned(key: str, state: bytes, upstream: str = "10.0.0.7", port: int = 9080, cluster: str = "") -> Any:
    """What an entry of NODE with this filter state teaches of others."""
    entry = wire.common("outbound|9080||reviews.shop.svc.cluster.local", source="10.0.0.9")
    entry += wire.message(13, wire.address(upstream, port))
    entry += wire.message(21, wire.text(1, key) + wire.message(2, state))
    metadata = wire.message(3, as_struct({"CLUSTER_ID": cluster})) if cluster else b""
    node = wire.text(1, "sidecar~10.0.0.1~front-0.shop~shop.svc.cluster.local") + metadata
    message = wire.message(1, wire.message(1, node)) + wire.http_message(wire.http_entry(entry))
    found = decode_als(exports(message)).tables["identities"].to_pylist()
    return [row for row in found if row["evidence"] == "peer"]


@pytest.mark.parametrize(
    ("key", "state"),
    [
        ("upstream_peer", any_of("Struct", as_struct(OBJECT))),
        ("upstream_peer", any_of("StringValue", wire.text(1, BAGGAGE))),
        ("wasm.upstream_peer", any_of("Struct", as_struct(NODE_METADATA))),
        ("wasm.upstream_peer", any_of("BytesValue", wire.message(1, FLAT_NODE))),
    ],
    ids=["object", "baggage", "node metadata", "FlatBuffer"],
)
def test_whom_a_proxy_called_is_learned_from_its_peer_metadata(key: str, state: bytes) -> None:
    """By access log service, in the forms of all Istios: the pod at the upstream address, though it never reports."""
    (row,) = learned(key, state)
    assert {name: row[name] for name in REVIEWS} == REVIEWS
    assert (row["emitter"], row["address"]) == (f"{REVIEWS['pod']}.shop", "10.0.0.7")


def test_who_called_a_proxy_is_learned_too() -> None:
    """The downstream peer is whoever holds the direct source address."""
    (row,) = learned("downstream_peer", any_of("Struct", as_struct(OBJECT)))
    assert (row["emitter"], row["address"]) == (f"{REVIEWS['pod']}.shop", "10.0.0.9")


def test_what_many_entries_say_alike_is_learned_once_for_each_address() -> None:
    """Since the first of them; an entry that ends no request teaches nothing, whatever it says."""
    state = wire.message(
        21, wire.text(1, "upstream_peer") + wire.message(2, any_of("Struct", as_struct(OBJECT)))
    )

    def entry(upstream: str, seconds: int, kind: int) -> bytes:
        said = wire.common("outbound|9080||reviews.shop.svc.cluster.local", log_type=kind, seconds=seconds)
        return wire.http_entry(said + state + wire.message(13, wire.address(upstream, 9080)))

    started, ended = 4, 6  # DownstreamStart, DownstreamEnd
    entries = [
        entry("10.0.0.5", 1_700_000_001, started),
        entry("10.0.0.7", 1_700_000_009, ended),
        entry("10.0.0.8", 1_700_000_007, ended),
        entry("10.0.0.7", 1_700_000_002, ended),
    ]
    found = decode_als(exports(wire.http_message(*entries))).tables["identities"].to_pylist()
    told = {(row["address"], int(row["time"].timestamp())) for row in found if row["evidence"] == "peer"}
    assert told == {("10.0.0.7", 1_700_000_002), ("10.0.0.8", 1_700_000_007)}


@pytest.mark.parametrize(
    ("upstream", "port", "cluster"),
    [("10.0.0.7", 15443, ""), ("10.0.0.7", 15008, ""), ("127.0.0.6", 9080, ""), ("10.0.0.7", 9080, "west")],
    ids=["gateway between networks", "tunnel", "loopback", "another cluster"],
)
def test_an_address_that_may_not_be_the_peers_teaches_nothing(upstream: str, port: int, cluster: str) -> None:
    """Behind a gateway or tunnel one address stands for many pods: none of them is put there."""
    assert learned("upstream_peer", any_of("Struct", as_struct(OBJECT)), upstream, port, cluster) == []


@pytest.mark.parametrize(
    "state",
    [
        any_of("BytesValue", wire.message(1, FLAT_NODE[:200])),
        any_of("BytesValue", wire.message(1, b"\xff" * 40)),
        any_of("StringValue", wire.text(1, "{" * 5000)),
        any_of("StringValue", wire.text(1, '{"workload": ["x"], "name": 7}')),
        any_of("StringValue", wire.text(1, "unknown")),
        any_of("Duration", b"\x08\x01"),
        b"\x0a\xff",
        b"",
    ],
)
def test_what_is_no_peer_teaches_nothing(state: bytes) -> None:
    """Cut short, of another type, or not metadata at all: the row is kept, nobody is named."""
    assert learned("upstream_peer", state) == []


def test_a_flat_node_cut_anywhere_is_refused_or_read() -> None:
    """Every offset is checked against the end: no beginning of the bytes raises."""
    whole = flat_node_json(FLAT_NODE)
    assert whole is not None
    assert json.loads(whole)["LABELS"] == {"app": "reviews", "version": "v2"}
    for size in range(len(FLAT_NODE)):
        flat_node_json(FLAT_NODE[:size])
    for at in range(len(FLAT_NODE)):
        flat_node_json(FLAT_NODE[:at] + b"\xff" + FLAT_NODE[at + 1 :])


@pytest.mark.parametrize(
    "said", [OBJECT, json.dumps(OBJECT), BAGGAGE, "reviews-v2;shop;reviews;v2;east"], ids=str
)
def test_a_log_files_peer_metadata_is_read_as_well(said: Any) -> None:
    """JSON logs with %FILTER_STATE(upstream_peer)% or the endpoint's metadata: the same names, and the text is kept."""
    line = {
        "start_time": "2026-11-21T12:00:40.242Z",
        "response_code": 200,
        "upstream_cluster": "outbound|9080||reviews.shop.svc.cluster.local",
        "upstream_host": "10.0.0.7:9080",
        "upstream_peer": said,
    }
    decoded = decode_chunk(json.dumps(line).encode(), 1, ALL, Emitter(None))
    (row,) = decoded.identities.filter(decoded.identities["address"].is_valid()).to_pylist()
    assert (row["address"], row["workload"], row["namespace"], row["version"]) == (
        "10.0.0.7",
        "reviews-v2",
        "shop",
        "v2",
    )
    (kept,) = [value for key, value in decoded.requests["attributes"][0].as_py() if key == "upstream_peer"]
    assert read_peer(kept)["app"] == "reviews"


def test_a_version_that_says_nothing_is_none() -> None:
    """`latest` is what Istio writes for no version; half a surrogate pair does not reach a column."""
    said = read_peer('{"workload": "a\\ud800", "revision": "latest", "identity": "spiffe://td/ns/x/sa/y"}')
    assert (said["workload"], said["version"], said["service_account"]) == ("a?", None, "y")
