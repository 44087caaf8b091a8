"""Whose log a file is, from its path and from its lines."""

from __future__ import annotations

from typing import Any

import pytest

from collector.decode.access_log import DecodedChunk, decode_chunk
from collector.decode.access_log_emitter import (
    Emitter,
    Pod,
    pod_of_option,
    pod_of_path,
    version_of,
    workload_of,
)
from tests.collector.access_log_goldens import ALL, plain

GATEWAY = "10.0.0.9"
REVIEWS = "10.0.0.2"


def line(
    cluster: str = "-",
    local: str = "-",
    listener: str = "10.96.0.1:9080",
    remote: str = "-",
    sni: str = "-",
    host: str = "-",
    authority: str = "reviews:9080",
    code: str = "200 - via_upstream",
) -> str:
    return (
        f'[2026-11-21T12:00:40.242Z] "GET / HTTP/1.1" {code} - "-" 0 3 9 6 "-" "c" "r" "{authority}" "{host}" '
        f"{cluster} {local} {listener} {remote} {sni} default"
    )


def decode(*lines: str, pod: Pod | None = None) -> DecodedChunk:
    return decode_chunk("\n".join(lines).encode(), 1, ALL, Emitter(pod))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/var/log/pods/shop_cart-7f9c4d8b6-x2x4z_0b1c2d3e-1111-2222-3333-444455556666/istio-proxy/0.log",
            "shop/cart-7f9c4d8b6-x2x4z",
        ),
        (
            "/var/log/pods/shop_cart-0_0b1c2d3e-1111-2222-3333-444455556666/istio-proxy/0.log.20261121-1.gz",
            "shop/cart-0",
        ),
        ("pods/default_ingress-1_0b1c2d3e/istio-proxy/0.log", "default/ingress-1"),
        (f"/var/log/containers/cart-0_shop_istio-proxy-{'a1' * 32}.log", "shop/cart-0"),
        ("logs/reviews-v1-7f9c4d8b6-x2x4z.istio.log", "?/reviews-v1-7f9c4d8b6-x2x4z"),
        ("reviews-v1-0.istio.json", "?/reviews-v1-0"),
        ("reviews-v1-0.istio.log.1.gz", "?/reviews-v1-0"),
        ("reviews-v1-0.shop.istio.log", "shop/reviews-v1-0"),
        ("shop_reviews-v1-0.istio.log", "shop/reviews-v1-0"),
        ("access.log", None),
        ("-", None),
        ("Reviews.istio.log", None),
        ("../../etc/<img>.istio.log", None),
    ],
)
def test_a_path_names_the_pod(path: str, expected: str | None) -> None:
    """Kubelet's folders and POD.istio.log say who wrote a file; other names say nothing."""
    pod = pod_of_path(path)
    assert (pod and f"{pod.namespace or '?'}/{pod.pod}") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("shop/cart-0", Pod("cart-0", "shop")), ("cart-0", None), ("a/b/c", None), ("/x", None), ("", None)],
)
def test_the_option_names_the_pod(text: str, expected: Pod | None) -> None:
    """--emitter is NS/POD and nothing else."""
    assert pod_of_option(text) == expected


@pytest.mark.parametrize(
    ("pod", "workload", "app", "version"),
    [
        ("reviews-v1-7f9c4d8b6-x2x4z", "reviews-v1", "reviews", "v1"),
        ("productpage-v1-564d4686f-t6s4m", "productpage-v1", "productpage", "v1"),
        ("ratings-v2-3f9a1b2c4d-0a1b2", "ratings-v2", "ratings", "v2"),
        ("istio-ingressgateway-6d84cc9b4-c8kpm", "istio-ingressgateway", "istio-ingressgateway", None),
        ("cart-0", "cart", "cart", None),
        ("node-agent-x7k2q", "node-agent", "node-agent", None),
        ("istio-debug", "istio-debug", "istio-debug", None),
        ("cart", "cart", "cart", None),
        ("web-v1.2", "web-v1.2", "web", "v1.2"),
        ("mt-ticket-cancellation", "mt-ticket-cancellation", "mt-ticket-cancellation", None),
    ],
)
def test_names_of_owners_are_read_off_the_pod(pod: str, workload: str, app: str, version: str | None) -> None:
    """Suffixes of Deployments, StatefulSets and DaemonSets go; `-v1` is the version, by Istio's habit."""
    assert workload_of(pod) == workload
    assert version_of(workload) == (app, version)


INBOUND = line("inbound|9080||", "127.0.0.6:33", f"{REVIEWS}:9080", "10.0.0.1:5", host=f"{REVIEWS}:9080")
OUTBOUND = line(
    "outbound|9080||ratings.default.svc.cluster.local",
    f"{REVIEWS}:44",
    remote=f"{REVIEWS}:55",
    host="10.0.0.3:9080",
)
EDGE = line(
    "outbound|9080||productpage.default.svc.cluster.local",
    f"{GATEWAY}:44",
    f"{GATEWAY}:8080",
    "192.168.7.7:55",
    host="10.0.0.1:9080",
)
NO_ROUTE = "404 NR route_not_found"


@pytest.mark.parametrize(
    ("lines", "reporters"),
    [
        ([INBOUND, OUTBOUND], ["destination", "source"]),
        (
            [EDGE, line(listener=f"{GATEWAY}:8080", remote="192.168.7.8:1", code=NO_ROUTE)],
            ["gateway", "gateway"],
        ),
        # Behind a load balancer only X-Forwarded-For is there: the listener is the pod's own.
        ([EDGE.replace("192.168.7.7:55", "192.168.7.7:0")], ["gateway"]),
        # A sidecar without callers of its own.
        ([OUTBOUND, line(remote=f"{REVIEWS}:1", code=NO_ROUTE)], ["source", "source"]),
        ([OUTBOUND.replace(f"{REVIEWS}:55", "8.8.8.8:0"), OUTBOUND], ["source", "source"]),
        (
            [
                INBOUND,
                line(listener=f"{REVIEWS}:9080", remote="10.0.0.4:1", code="0 NR filter_chain_not_found"),
            ],
            ["destination"] * 2,
        ),
        ([INBOUND, line(remote=f"{REVIEWS}:1", code=NO_ROUTE)], ["destination", "source"]),
        ([line("PassthroughCluster", f"{REVIEWS}:1", remote=f"{REVIEWS}:2")], ["source"]),
        (
            [line("InboundPassthroughClusterIpv4", "127.0.0.6:1", f"{REVIEWS}:99", "10.0.0.4:1")],
            ["destination"],
        ),
        ([line("inbound-vip|9080|http|ratings.b.svc.cluster.local", remote="10.0.0.4:1")], ["waypoint"]),
    ],
)
def test_each_row_knows_its_side(lines: list[str], reporters: list[str]) -> None:
    """By the cluster where there is one, else by whose address the peer is; a gateway's rows are a gateway's."""
    assert decode(*lines).requests["reporter"].to_pylist() == reporters


@pytest.mark.parametrize(
    ("lines", "pod", "expected"),
    [
        (
            [INBOUND.replace(" - default", " outbound_.9080_.v3_.reviews.default.svc.cluster.local default")],
            Pod("reviews-v1-7f9c4d8b6-x2x4z", None),
            "emitter=reviews-v1-7f9c4d8b6-x2x4z.default address=10.0.0.2 workload=reviews-v1 app=reviews version=v3 "
            "service=reviews.default.svc.cluster.local evidence=sni node_type=sidecar namespace=default",
        ),
        (
            [INBOUND],
            Pod("reviews-v1-0", "shop"),
            "emitter=reviews-v1-0.shop version=v1 app=reviews service=None evidence=file",
        ),
        ([INBOUND], Pod("reviews-v1-0", None), "emitter=reviews-v1-0 namespace=None address=10.0.0.2"),
        # A bare host name is looked up in the caller's namespace.
        (
            [OUTBOUND.replace("reviews:9080", "ratings:9080")],
            Pod("a-0", None),
            "emitter=a-0.default namespace=default",
        ),
        (
            [EDGE],
            Pod("istio-ingressgateway-6d84cc9b4-c8kpm", "istio-system"),
            "node_type=router address=10.0.0.9 version=None",
        ),
        (
            [line("inbound|80|http|cart.shop.svc.cluster.local", "127.0.0.6:1", "10.0.0.5:80", "10.0.0.1:1")],
            None,
            "emitter=None address=10.0.0.5 service=cart.shop.svc.cluster.local app=cart",
        ),
    ],
)
def test_lines_teach_who_is_where(lines: list[str], pod: Pod | None, expected: str) -> None:
    """Own address, kind of proxy, service and version come from the lines; the path gives the name."""
    (identity,) = plain(decode(*lines, pod=pod).identities)
    for pair in expected.split():
        name, _, value = pair.partition("=")
        assert str(identity.get(name)) == value, name


def test_callers_that_named_different_subsets_prove_no_version() -> None:
    """Only a subset that all callers named is this pod's version; else its workload's name tells."""
    inbound = [
        INBOUND.replace(" - default", f" outbound_.9080_.{one}_.reviews.default.svc.cluster.local default")
        for one in ("v1", "canary", "_")
    ]
    identity: dict[str, Any] = plain(decode(*inbound, pod=Pod("reviews-v2-0", "default")).identities)[0]
    assert identity["version"] == "v2"


def test_loopback_teaches_nobody() -> None:
    """127.0.0.1 is everybody's address: it names no pod."""
    lines = decode(OUTBOUND.replace(REVIEWS, "127.0.0.1"), pod=Pod("a-0", "x")).identities
    assert plain(lines)[0].get("address") is None


def test_logs_of_several_pods_in_one_file_teach_nothing() -> None:
    """Without a pod and with more than one own address no name is learned."""
    assert decode(INBOUND, OUTBOUND.replace(REVIEWS, "10.0.0.77")).identities.num_rows == 0
