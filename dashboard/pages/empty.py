"""What the graph shows when there is nothing to show: how to send the first telemetry, to this server.

Two cards: nothing ever arrived (ready-made snippets with this server's own addresses), or nothing in
this window.
"""

from __future__ import annotations

from dash import dcc, html

from dashboard.settings import DashboardSettings, is_loopback, split_address

FIRST, QUIET = "empty-first", "empty-quiet"


def layout(settings: DashboardSettings) -> html.Div:
    """Both cards, hidden."""
    return html.Div([_first(settings), _quiet()], className="empty")


def snippets(settings: DashboardSettings) -> dict[str, str]:
    """Name → text to copy, for the addresses this server listens at."""
    grpc_host, grpc_port = _shown(settings.grpc)
    http_host, http_port = _shown(settings.http)
    scheme = "https" if settings.tls else "http"
    return {
        "Try it": "sidelight demo",
        "Istio": ISTIO.format(host=grpc_host, port=grpc_port),
        "Envoy": ENVOY.format(host=grpc_host, port=grpc_port),
        "OpenTelemetry": OTEL.format(
            scheme=scheme, host=grpc_host, port=grpc_port, http=f"{http_host}:{http_port}"
        ),
        "Log files": "sidelight import /var/log/pods/*/istio-proxy/*.log\n"
        "kubectl logs POD -c istio-proxy | sidelight import - --emitter NAMESPACE/POD",
    }


HINTS = {
    "Try it": "A real Envoy mesh on this machine, with faults, retries and a canary split.",
    "Istio": "Access logs through Envoy's access log service and traces by OTLP, both on one port.",
    "Envoy": "In the http_connection_manager, and one cluster beside yours.",
    "OpenTelemetry": "For applications with an OpenTelemetry SDK, or a collector's otlp exporter.",
    "Log files": "Istio's text and JSON, Envoy's text; gzip too. Importing twice adds nothing.",
}


def _shown(address: str) -> tuple[str, int]:
    """Where others reach it: a wildcard or loopback address is not what a mesh can be told."""
    host, port = split_address(address)
    if host in ("0.0.0.0", "::") or (is_loopback(host)):  # noqa: S104 - compared, not bound
        return ("127.0.0.1" if is_loopback(host) else "SIDELIGHT_HOST"), port
    return host, port


def _first(settings: DashboardSettings) -> html.Section:
    tabs = [
        dcc.Tab(
            html.Div(
                [
                    html.P(HINTS[name], className="muted"),
                    html.Div(
                        [
                            html.Pre(text, id=f"snippet-{place}"),
                            dcc.Clipboard(target_id=f"snippet-{place}", title="Copy", className="copy"),
                        ],
                        className="snippet",
                    ),
                ],
                className="snippet-page",
            ),
            label=name,
            value=name,
            className="tab",
            selected_className="tab is-here",
        )
        for place, (name, text) in enumerate(snippets(settings).items())
    ]
    where = f"OTLP and Envoy's access log service at {settings.grpc}, OTLP over HTTP at {settings.http}."
    return html.Section(
        [
            html.H2("Nothing has arrived yet"),
            html.P(
                ["Sidelight is listening: ", where, " The graph appears here by itself."], className="muted"
            ),
            dcc.Tabs(tabs, value="Try it", className="tabs", parent_className="tabs-parent"),
        ],
        id=FIRST,
        className="card",
        hidden=True,
    )


def _quiet() -> html.Section:
    return html.Section(
        [
            html.H2("No requests in this window"),
            html.P("Choose a longer window above, or another namespace.", className="muted"),
        ],
        id=QUIET,
        className="card card-small",
        hidden=True,
    )


ISTIO = """\
# istioctl install -f this.yaml, or merge into your IstioOperator / mesh config
meshConfig:
  enableTracing: true
  extensionProviders:
  - name: sidelight-traces
    opentelemetry: {{service: {host}, port: {port}}}
  - name: sidelight-logs
    envoyHttpAls: {{service: {host}, port: {port}}}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: sidelight, namespace: istio-system}}
spec:
  accessLogging: [{{providers: [{{name: sidelight-logs}}]}}]
  tracing: [{{providers: [{{name: sidelight-traces}}], randomSamplingPercentage: 100}}]"""

ENVOY = """\
access_log:
- name: envoy.access_loggers.http_grpc
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig
    common_config:
      log_name: sidelight
      transport_api_version: V3
      grpc_service: {{envoy_grpc: {{cluster_name: sidelight}}}}
tracing:
  provider:
    name: envoy.tracers.opentelemetry
    typed_config:
      "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
      grpc_service: {{envoy_grpc: {{cluster_name: sidelight}}}}
      service_name: YOUR_SERVICE
# under static_resources.clusters
- name: sidelight
  type: STRICT_DNS
  typed_extension_protocol_options:
    envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
      explicit_http_config: {{http2_protocol_options: {{}}}}
  load_assignment:
    cluster_name: sidelight
    endpoints:
    - lb_endpoints:
      - endpoint: {{address: {{socket_address: {{address: {host}, port_value: {port}}}}}}}"""

OTEL = """\
export OTEL_EXPORTER_OTLP_ENDPOINT={scheme}://{host}:{port}
export OTEL_EXPORTER_OTLP_PROTOCOL=grpc
export OTEL_SERVICE_NAME=your-service
export OTEL_RESOURCE_ATTRIBUTES=k8s.namespace.name=default,service.version=v1

# over HTTP instead
export OTEL_EXPORTER_OTLP_ENDPOINT={scheme}://{http}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"""
