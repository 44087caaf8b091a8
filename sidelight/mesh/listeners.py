"""Listeners and routes of one Envoy: inbound, outbound, and one more per TCP service it calls.

There is no iptables: an application calls its own sidecar's outbound listener and names the service in the
Host header. Routes carry Istio's names and decorators, because spans and log lines repeat them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidelight.mesh.access_logs import http_loggers, tcp_loggers, tracing
from sidelight.mesh.clusters import ALPN, downstream_tls, inbound_name, outbound_name
from sidelight.mesh.http_filters import guards, http_filters, number_matcher, tcp_guards, told_by_route
from sidelight.mesh.plan import Plan, Pod
from sidelight.mesh.service_rules import Fault, RateLimit
from sidelight.mesh.topology import OUTBOUND_PORT, Service

SIDECAR_HEADER = "x-mesh-sidecar"
SPLIT_HEADER = "x-mesh-split"
_RETRY = "type.googleapis.com/envoy.extensions.retry"
_FILTERS = "type.googleapis.com/envoy.extensions.filters"


def listeners_of(plan: Plan, pod: Pod, certificates: Path, log_dir: Path) -> list[dict[str, Any]]:
    """Every listener of a pod's Envoy."""
    if pod.workload is None:
        return [_gateway(plan, pod, log_dir)]
    own = plan.service_of(pod)
    called = plan.topology.called_by(pod.workload)
    found = [_inbound(plan, pod, own, certificates, log_dir)] if own else []
    found.append(_outbound(plan, pod, [each for each in called if each.protocol != "tcp"], log_dir))
    return found + [_outbound_tcp(plan, pod, each, log_dir) for each in called if each.protocol == "tcp"]


def _gateway(plan: Plan, pod: Pod, log_dir: Path) -> dict[str, Any]:
    edge = plan.topology.gateway
    service = plan.topology.services[edge.service]
    domains = ["*"] if edge.host == "*" else [edge.host, f"{edge.host}:*"]
    decorator = f"{service.host}:{service.port}{edge.path if edge.path != '/' else '/'}*"
    routes = _routes(service, {"prefix": edge.path}, decorator)
    manager = _manager(plan, pod, log_dir, "outbound_0.0.0.0_8080;", routes, domains, "gateway:80")
    manager |= {
        "use_remote_address": True,
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": True, "cert": True, "dns": True, "uri": True},
    }
    return _listener(
        f"0.0.0.0_{edge.port}", pod.ip, plan.gateway_port, "OUTBOUND", [{"filters": [_http(manager)]}]
    )


def _inbound(plan: Plan, pod: Pod, service: Service, certificates: Path, log_dir: Path) -> dict[str, Any]:
    """Permissive, as Istio's default: mutual TLS for callers that speak it, plain text for the others."""
    if service.protocol == "tcp":
        filters = [*tcp_guards(plan, service), _tcp_proxy(plan, pod, inbound_name(service), log_dir)]
    else:
        route: dict[str, Any] = {
            "name": "default",
            "match": {"prefix": "/"},
            "route": {"cluster": inbound_name(service), "timeout": "0s"},
            "decorator": {"operation": f"{service.host}:{service.port}/*"},
        }
        name = f"inbound|{service.port}||"
        limit = service.rules.rate_limit_at("called")
        routes = [*([_ruled(route, limit)] if limit else []), route]
        manager = _manager(plan, pod, log_dir, f"inbound_0.0.0.0_{service.port};", routes, ["*"], name)
        manager |= {
            "http_filters": http_filters(guards(plan, service, certificates)),
            "local_reply_config": _signed_replies(pod),
            "forward_client_cert_details": "APPEND_FORWARD",
            "set_current_client_cert_details": {"subject": True, "dns": True, "uri": True},
            "server_name": "istio-envoy",
        }
        filters = [_http(manager)]
    mutual = {
        "name": "virtualInbound-mtls",
        "filter_chain_match": {"transport_protocol": "tls"},
        "transport_socket": downstream_tls(pod, certificates, ALPN[service.protocol]),
        "filters": filters,
    }
    plain = {
        "name": "virtualInbound-plain",
        "filter_chain_match": {"transport_protocol": "raw_buffer"},
        "filters": filters,
    }
    inspector = {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {"@type": f"{_FILTERS}.listener.tls_inspector.v3.TlsInspector"},
    }
    listener = _listener("virtualInbound", pod.ip, service.port, "INBOUND", [mutual, plain])
    return listener | {"listener_filters": [inspector]}


def _signed_replies(pod: Pod) -> dict[str, Any]:
    """What a sidecar answers in its application's place names the version, so that its caller can count it."""
    any_code = {"op": "GE", "value": {"default_value": 100, "runtime_key": "mesh.signed_replies"}}
    signature = {"header": {"key": SIDECAR_HEADER, "value": pod.version}}
    mapper = {"filter": {"status_code_filter": {"comparison": any_code}}, "headers_to_add": [signature]}
    return {"mappers": [mapper]}


def _outbound(plan: Plan, pod: Pod, services: list[Service], log_dir: Path) -> dict[str, Any]:
    hosts = [_virtual_host(plan, service) for service in services]
    block = {
        "name": "block_all",
        "domains": ["*"],
        "routes": [{"name": "block_all", "match": {"prefix": "/"}, "direct_response": {"status": 502}}],
    }
    manager = _manager(plan, pod, log_dir, "outbound_0.0.0.0;", [], [], "")
    manager["route_config"]["virtual_hosts"] = [*hosts, block]
    manager["forward_client_cert_details"] = "SANITIZE"
    chains = [{"filters": [_http(manager)]}]
    return _listener("virtualOutbound", pod.ip, OUTBOUND_PORT, "OUTBOUND", chains)


def _outbound_tcp(plan: Plan, pod: Pod, service: Service, log_dir: Path) -> dict[str, Any]:
    filters = [_tcp_proxy(plan, pod, outbound_name(service), log_dir)]
    name = f"outbound_0.0.0.0_{service.port}"
    return _listener(name, pod.ip, service.port, "OUTBOUND", [{"filters": filters}])


def _virtual_host(plan: Plan, service: Service) -> dict[str, Any]:
    short, middle = service.name, f"{service.name}.{service.namespace}"
    names = [service.host, f"{middle}.svc", middle]
    # As in Kubernetes the bare name is the one of the own namespace; here it must also be the only one.
    if sum(each.name == short for each in plan.topology.services.values()) == 1:
        names.append(short)
    domains = [f"{name}:{service.port}" for name in names]
    return {
        "name": f"{service.host}:{service.port}",
        "domains": domains,
        "include_request_attempt_count": True,
        "routes": _routes(service, {"prefix": "/"}, None),
    }


def _routes(service: Service, match: dict[str, Any], decorator: str | None) -> list[dict[str, Any]]:
    """A service's routes in its callers' Envoys: one for each rule that means some requests only, and the
    rest's. Envoy takes the first that fits."""
    limit = service.rules.rate_limit_at("caller")
    plain = _route(service, match, decorator)
    return [*(_ruled(plain, rule) for rule in (*service.rules.faults, limit) if rule), plain]


def _ruled(route: dict[str, Any], rule: Fault | RateLimit) -> dict[str, Any]:
    """The route for the requests that a rule means."""
    headers = {"headers": [number_matcher(rule.ends_with)]} if rule.ends_with else {}
    return route | {"match": route["match"] | headers, "typed_per_filter_config": told_by_route(rule)}


def _route(service: Service, match: dict[str, Any], decorator: str | None) -> dict[str, Any]:
    action: dict[str, Any] = {"timeout": f"{service.rules.timeout_ms / 1000}s"}
    if service.split:
        weights = [{"name": outbound_name(service, name), "weight": weight} for name, weight in service.split]
        action["weighted_clusters"] = {"clusters": weights, "header_name": SPLIT_HEADER}
        decorator = decorator or f"{service.name}:{service.port}/*"
    else:
        action["cluster"] = outbound_name(service)
    if service.rules.retries:
        action["retry_policy"] = _retry(service.rules.retries)
    route: dict[str, Any] = {
        "match": match,
        "route": action,
        "decorator": {"operation": decorator or f"{service.host}:{service.port}/*"},
    }
    if not service.split:
        route["name"] = "default"
    return route


def _retry(times: int) -> dict[str, Any]:
    """Istio's default policy: never the same host twice in a row."""
    return {
        "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        "retriable_status_codes": [503],
        "num_retries": times,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"{_RETRY}.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
        "host_selection_retry_max_attempts": "5",
    }


def _manager(
    plan: Plan,
    pod: Pod,
    log_dir: Path,
    stat_prefix: str,
    routes: list[dict[str, Any]],
    domains: list[str],
    host_name: str,
) -> dict[str, Any]:
    host = {"name": host_name, "domains": domains, "routes": routes, "include_request_attempt_count": True}
    return {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": stat_prefix,
        "codec_type": "AUTO",
        "route_config": {"name": stat_prefix, "virtual_hosts": [host], "validate_clusters": False},
        "http_filters": http_filters([]),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "tracing": tracing(pod, plan.topology.cluster, plan.topology.mesh_id),
        "access_log": http_loggers(pod, log_dir, plan.topology.access_logs),
        "generate_request_id": True,
        "normalize_path": True,
        "stream_idle_timeout": "0s",
    }


def _http(manager: dict[str, Any]) -> dict[str, Any]:
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _tcp_proxy(plan: Plan, pod: Pod, cluster: str, log_dir: Path) -> dict[str, Any]:
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": f"{_FILTERS}.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": f"{cluster};",
            "cluster": cluster,
            "access_log": tcp_loggers(pod, log_dir, plan.topology.access_logs),
        },
    }


def _listener(name: str, ip: str, port: int, direction: str, chains: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "address": {"socket_address": {"address": ip, "port_value": port}},
        "traffic_direction": direction,
        "filter_chains": chains,
    }
