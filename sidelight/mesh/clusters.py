"""Upstream clusters of one Envoy: one per service and subset it calls, its own application, and the
collector.

What must stay true: a connection to another pod leaves from this pod's address, because that address is how
the receiving side knows its caller.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidelight.mesh.access_logs import COLLECTOR_CLUSTER
from sidelight.mesh.certificates import leaf_files, pod_spiffe_id, root_file
from sidelight.mesh.plan import Plan, Pod
from sidelight.mesh.service_rules import Breaker, OutlierDetection
from sidelight.mesh.topology import Service

INBOUND_SOURCE = "127.0.0.6"
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"


def outbound_name(service: Service, version: str | None = None) -> str:
    return f"outbound|{service.port}|{version or ''}|{service.host}"


def inbound_name(service: Service) -> str:
    return f"inbound|{service.port}||"


def clusters_of(plan: Plan, pod: Pod, certificates: Path, collector: str) -> list[dict[str, Any]]:
    """All clusters of a pod's Envoy; `collector` is the HOST:PORT its telemetry goes to."""
    found = [_collector(collector)]
    if pod.workload is None:
        called = [plan.topology.services[plan.topology.gateway.service]]
    else:
        called = plan.topology.called_by(pod.workload)
    for service in called:
        for version in [None, *(version for version, _ in service.split)]:
            found.append(_outbound(plan, pod, service, version, certificates))
    own = plan.service_of(pod)
    return [*found, _inbound(pod, own)] if own else found


def _outbound(
    plan: Plan, pod: Pod, service: Service, version: str | None, certificates: Path
) -> dict[str, Any]:
    endpoints = plan.endpoints(service, version)
    cluster = _cluster(outbound_name(service, version), [(each.ip, service.port) for each in endpoints])
    if service.protocol == "grpc":
        cluster |= _http2()
    if service.rules.breaker:
        cluster["circuit_breakers"] = {"thresholds": [_thresholds(service.rules.breaker)]}
    if service.rules.outlier_detection:
        cluster |= _outlier_detection(service.rules.outlier_detection)
    if service.mtls:
        cluster["transport_socket"] = _upstream_tls(plan, pod, service, version, certificates)
    return cluster


def _thresholds(breaker: Breaker) -> dict[str, Any]:
    return {
        "max_connections": breaker.connections,
        "max_pending_requests": breaker.pending,
        "max_requests": breaker.connections,
    }


def _outlier_detection(rule: OutlierDetection) -> dict[str, Any]:
    """Every ejection is as long as the first; without panic, because ejecting all pods must be seen (UH)."""
    seconds = f"{rule.ejection_seconds}s"
    return {
        "outlier_detection": {
            "consecutive_5xx": rule.consecutive_5xx,
            "interval": "0.5s",
            "base_ejection_time": seconds,
            "max_ejection_time": seconds,
            "max_ejection_percent": 100,
            "enforcing_success_rate": 0,
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def _inbound(pod: Pod, service: Service) -> dict[str, Any]:
    cluster = _cluster(inbound_name(service), [(pod.ip, service.app_port)])
    if service.protocol == "grpc":
        cluster |= _http2()
    return cluster | {"upstream_bind_config": _from(INBOUND_SOURCE)}


def _collector(target: str) -> dict[str, Any]:
    host, _, port = target.rpartition(":")
    cluster = _cluster(COLLECTOR_CLUSTER, [(host.strip("[]"), int(port))]) | _http2()
    if not host.startswith("127."):
        # A pod's loopback address cannot reach another machine.
        cluster["upstream_bind_config"] = _from("::" if ":" in host else "0.0.0.0")  # noqa: S104
        cluster["type"] = "STRICT_DNS"
    return cluster


def pod_bind(pod: Pod) -> dict[str, Any]:
    """The default for every cluster: connections leave from the pod's own address."""
    return _from(pod.ip)


def _from(ip: str) -> dict[str, Any]:
    return {"source_address": {"address": ip, "port_value": 0}}


def _cluster(name: str, endpoints: list[tuple[str, int]]) -> dict[str, Any]:
    return {
        "name": name,
        "alt_stat_name": f"{name};",
        "type": "STATIC",
        "connect_timeout": "10s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {
                    "lb_endpoints": [
                        {"endpoint": {"address": {"socket_address": {"address": ip, "port_value": port}}}}
                        for ip, port in endpoints
                    ]
                }
            ],
        },
    }


def _http2() -> dict[str, Any]:
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        }
    }


def _upstream_tls(
    plan: Plan, pod: Pod, service: Service, version: str | None, certificates: Path
) -> dict[str, Any]:
    identities = sorted({pod_spiffe_id(plan, each) for each in plan.endpoints(service, version)})
    common = tls_context(pod, certificates, ALPN[service.protocol])
    common["validation_context"]["match_typed_subject_alt_names"] = [
        {"san_type": "URI", "matcher": {"exact": identity}} for identity in identities
    ]
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TLS}.UpstreamTlsContext",
            "sni": f"outbound_.{service.port}_.{version or ''}_.{service.host}",
            "common_tls_context": common,
        },
    }


ALPN = {"http": ["http/1.1"], "grpc": ["h2"], "tcp": ["istio"]}


def downstream_tls(pod: Pod, certificates: Path, alpn: list[str]) -> dict[str, Any]:
    """Mutual TLS for a listener: a caller without a certificate of this mesh is refused."""
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TLS}.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": tls_context(pod, certificates, alpn),
        },
    }


def tls_context(pod: Pod, certificates: Path, alpn: list[str]) -> dict[str, Any]:
    """A pod's certificate, the mesh's root, TLS 1.3."""
    certificate, key = leaf_files(certificates, pod)
    return {
        "alpn_protocols": alpn,
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [
            {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
        ],
        "validation_context": {"trusted_ca": {"filename": str(root_file(certificates))}},
    }
