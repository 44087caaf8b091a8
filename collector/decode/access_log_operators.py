"""Envoy's format operators → the fields of an access log (`access_log_fields`).

What must stay true: an operator that is a field's in one format is so in every one, text or JSON; what is no
field has a name to be an attribute under. Operators: Envoy's substitution_formatter.rst.
"""

from __future__ import annotations

import re

from collector.decode.access_log_fields import TIMES_MS

# As Envoy reads it: an argument may hold brackets and percent signs (CEL), it ends where the operator can.
OPERATOR = re.compile(r"%(?P<name>[A-Z0-9_]+)(?:\((?P<argument>.*?)\))?(?::(?P<length>\d+))?%")

_FIELD_OF = {
    "PROTOCOL": "protocol",
    "RESPONSE_CODE": "code",
    "RESPONSE_FLAGS": "flags",
    "RESPONSE_CODE_DETAILS": "details",
    "CONNECTION_TERMINATION_DETAILS": "termination",
    "UPSTREAM_TRANSPORT_FAILURE_REASON": "failure",
    "BYTES_RECEIVED": "received",
    "BYTES_SENT": "sent",
    "DURATION": "duration",
    "UPSTREAM_HOST": "upstream_host",
    "UPSTREAM_REMOTE_ADDRESS": "upstream_host",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": "upstream_host",
    "UPSTREAM_CLUSTER": "cluster",
    "UPSTREAM_CLUSTER_RAW": "cluster",
    "UPSTREAM_LOCAL_ADDRESS": "upstream_local",
    "DOWNSTREAM_LOCAL_ADDRESS": "downstream_local",
    "DOWNSTREAM_REMOTE_ADDRESS": "downstream_remote",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": "direct_remote",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": "direct_remote",
    "REQUESTED_SERVER_NAME": "sni",
    "ROUTE_NAME": "route",
    "GRPC_STATUS": "grpc_status",
    "GRPC_STATUS_NUMBER": "grpc_status",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": "attempts",
    "TRACE_ID": "trace_id",
    "SPAN_ID": "span_id",
    "ACCESS_LOG_TYPE": "log_type",
    "RESPONSE_FLAGS_LONG": "flags_long",
    "STREAM_ID": "stream_id",
    "DOWNSTREAM_PEER_URI_SAN": "peer_san",
    "DOWNSTREAM_LOCAL_URI_SAN": "local_san",
    "UPSTREAM_PEER_URI_SAN": "upstream_san",
    "PATH": "path",
    **{name.upper(): name for name in TIMES_MS},
}
# Operators that are a field with these arguments only.
_ARGUMENT_FIELD = {
    "COMMON_DURATION": {
        "DS_RX_BEG:DS_TX_END:us": "duration_us",
        "DS_RX_BEG:DS_TX_END:ms": "duration",
        "DS_RX_BEG:DS_RX_END:us": "request_last_rx_us",
        "DS_RX_BEG:US_TX_BEG:us": "upstream_first_tx_us",
        "DS_RX_BEG:US_TX_END:us": "upstream_last_tx_us",
        "DS_RX_BEG:US_RX_BEG:us": "upstream_first_rx_us",
        "DS_RX_BEG:US_RX_END:us": "upstream_last_rx_us",
        "DS_RX_BEG:DS_TX_BEG:us": "downstream_first_tx_us",
    },
    "FILTER_STATE": {
        f"{prefix}{name}{suffix}": name
        for name in ("upstream_peer", "downstream_peer")
        for prefix in ("", "wasm.")
        for suffix in ("", ":PLAIN", ":TYPED")
    },
    "METADATA": {"UPSTREAM_HOST:istio:workload": "upstream_peer"},
    "UPSTREAM_METADATA": {'["istio","workload"]': "upstream_peer", "istio:workload": "upstream_peer"},
}
_HEADER_FIELD = {
    ":method": "method",
    ":path": "path",
    "x-envoy-original-path": "path",
    ":authority": "authority",
    "host": "authority",
    "user-agent": "user_agent",
    "x-request-id": "request_id",
    "x-forwarded-for": "forwarded_for",
    "traceparent": "traceparent",
    "x-b3-traceid": "trace_id",
    "x-b3-spanid": "span_id",
    "x-envoy-upstream-service-time": "service_time",
    "grpc-status": "grpc_status",
    "x-forwarded-client-cert": "forwarded_cert",
}
_HEADERS = (
    "REQ",
    "REQUEST_HEADER",
    "REQ_WITHOUT_QUERY",
    "RESP",
    "RESPONSE_HEADER",
    "TRAILER",
    "RESPONSE_TRAILER",
)


def name_of(operator: str, argument: str | None) -> str:
    """The field an operator gives, else the attribute's name: 'OPERATOR' or 'operator.argument', lower case."""
    if operator in _HEADERS:
        headers = [one.strip().lower() for one in (argument or "").split("?")]
        known = [_HEADER_FIELD[one] for one in headers if one in _HEADER_FIELD]
        return known[0] if known else headers[0] or operator.lower()
    if operator in _FIELD_OF:
        return _FIELD_OF[operator]
    by_argument = _ARGUMENT_FIELD.get(operator, {}).get((argument or "").replace(" ", ""))
    if by_argument:
        return by_argument
    return f"{operator.lower()}.{argument}" if argument else operator.lower()
