"""Access logs and tracing of one Envoy, as Istio's control plane configures them.

The formats are Istio's defaults to the letter: `import` is tested against the files they make.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidelight.mesh.plan import Pod

COLLECTOR_CLUSTER = "outbound|4317||otel-collector.observability.svc.cluster.local"
FLUSH_SECONDS = 0.25

ISTIO_TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE%'
    " %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%"
    ' "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION%'
    ' %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%"'
    ' "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW%'
    " %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS%"
    " %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
ISTIO_JSON = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
}
_LOGGERS = "type.googleapis.com/envoy.extensions.access_loggers"


def text_log(log_dir: Path, pod: Pod) -> Path:
    return log_dir / f"{pod.name}.istio.log"


def json_log(log_dir: Path, pod: Pod) -> Path:
    return log_dir / f"{pod.name}.istio.json"


def http_loggers(pod: Pod, log_dir: Path, kind: str) -> list[dict[str, Any]]:
    """Text and JSON files, and the access log service or OTLP log records (``kind``), for HTTP requests."""
    if kind == "otlp":
        return [*_files(pod, log_dir), _otlp()]
    service = {
        "name": "envoy.http_grpc_access_log",
        "typed_config": {
            "@type": f"{_LOGGERS}.grpc.v3.HttpGrpcAccessLogConfig",
            "common_config": _service("http_envoy_accesslog"),
            # gRPC's status stands in the trailers, or in the headers of a trailers-only answer: without these
            # three ALS cannot tell a failed gRPC call from a good one.
            "additional_request_headers_to_log": [
                "traceparent",
                "x-request-id",
                "x-forwarded-client-cert",
                "x-envoy-attempt-count",
                "x-envoy-decorator-operation",
            ],
            "additional_response_headers_to_log": [
                "grpc-status",
                "grpc-message",
                "server",
                "x-envoy-upstream-service-time",
            ],
            "additional_response_trailers_to_log": ["grpc-status", "grpc-message"],
        },
    }
    return [*_files(pod, log_dir), service]


def tcp_loggers(pod: Pod, log_dir: Path, kind: str) -> list[dict[str, Any]]:
    """The same for TCP connections."""
    if kind == "otlp":
        return [*_files(pod, log_dir), _otlp()]
    service = {
        "name": "envoy.tcp_grpc_access_log",
        "typed_config": {
            "@type": f"{_LOGGERS}.grpc.v3.TcpGrpcAccessLogConfig",
            "common_config": _service("tcp_envoy_accesslog"),
        },
    }
    return [*_files(pod, log_dir), service]


def _otlp() -> dict[str, Any]:
    """Istio's `envoyOtelAls` without labels: the default line as body, and a resource that names nobody."""
    return {
        "name": "envoy.access_loggers.open_telemetry",
        "typed_config": {
            "@type": f"{_LOGGERS}.open_telemetry.v3.OpenTelemetryAccessLogConfig",
            "common_config": _service("otel_envoy_accesslog"),
            "disable_builtin_labels": True,
            "body": {"string_value": ISTIO_TEXT},
        },
    }


def _service(log_name: str) -> dict[str, Any]:
    return {
        "log_name": log_name,
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": COLLECTOR_CLUSTER}},
        "buffer_flush_interval": f"{FLUSH_SECONDS}s",
    }


def _files(pod: Pod, log_dir: Path) -> list[dict[str, Any]]:
    formats: list[tuple[Path, dict[str, Any]]] = [
        (text_log(log_dir, pod), {"text_format_source": {"inline_string": ISTIO_TEXT}}),
        (json_log(log_dir, pod), {"json_format": ISTIO_JSON}),
    ]
    return [
        {
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": f"{_LOGGERS}.file.v3.FileAccessLog",
                "path": str(path),
                "log_format": log_format,
            },
        }
        for path, log_format in formats
    ]


def tracing(pod: Pod, cluster: str, mesh_id: str) -> dict[str, Any]:
    """Every request is traced; a gateway adds a span for each attempt upstream, as Istio's gateways do."""
    tags = {
        "istio.canonical_revision": pod.version or "latest",
        "istio.canonical_service": pod.app,
        "istio.cluster_id": cluster,
        "istio.mesh_id": mesh_id,
        "istio.namespace": pod.namespace,
    }
    config: dict[str, Any] = {
        "client_sampling": {"value": 100},
        "random_sampling": {"value": 100},
        "overall_sampling": {"value": 100},
        "custom_tags": [{"tag": tag, "literal": {"value": value}} for tag, value in tags.items()],
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                # Envoy sends spans once: what an exhausted machine does not answer in time would be lost.
                "grpc_service": {"envoy_grpc": {"cluster_name": COLLECTOR_CLUSTER}, "timeout": "60s"},
                "service_name": f"{pod.app}.{pod.namespace}",
            },
        },
    }
    if pod.is_gateway:
        config["spawn_upstream_span"] = True
    return config
