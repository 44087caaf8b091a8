"""What only formats of users' own say: principals, times to the microsecond, long flags, peer metadata.

Istio's and Envoy's default lines have none of it, so each part costs nothing where its fields are absent.
What must stay true: what became a column is not an attribute too, and what became none is one.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_fields import TIMES_MS, TIMES_US
from collector.decode.access_log_values import non_negative, number

Columns = dict[str, pa.Array]

NEAREST_URI = (
    r'.*URI=(?P<uri>[^;,"]+)'  # of X-Forwarded-Client-Cert; greedy: the last element is the nearest hop
)
_FIRST_URI = r"^(?P<uri>[^,]+)"
_ATTRIBUTES = {
    "upstream_peer": "upstream_peer",
    "downstream_peer": "downstream_peer",
    "forwarded_cert": "x-forwarded-client-cert",
}
# Envoy's %RESPONSE_FLAGS_LONG%, in the order of its short names (source/common/stream_info/utility.h).
_LONG_FLAGS = {
    "FailedLocalHealthCheck": "LH",
    "NoHealthyUpstream": "UH",
    "UpstreamRequestTimeout": "UT",
    "LocalReset": "LR",
    "UpstreamRemoteReset": "UR",
    "UpstreamConnectionFailure": "UF",
    "UpstreamConnectionTermination": "UC",
    "UpstreamOverflow": "UO",
    "NoRouteFound": "NR",
    "DelayInjected": "DI",
    "FaultInjected": "FI",
    "RateLimited": "RL",
    "UnauthorizedExternalService": "UAEX",
    "RateLimitServiceError": "RLSE",
    "DownstreamConnectionTermination": "DC",
    "UpstreamRetryLimitExceeded": "URX",
    "StreamIdleTimeout": "SI",
    "InvalidEnvoyRequestHeaders": "IH",
    "DownstreamProtocolError": "DPE",
    "UpstreamMaxStreamDurationReached": "UMSDR",
    "ResponseFromCacheFilter": "RFCF",
    "NoFilterConfigFound": "NFCF",
    "DurationTimeout": "DT",
    "UpstreamProtocolError": "UPE",
    "NoClusterFound": "NC",
    "OverloadManagerTerminated": "OM",
    "DnsResolutionFailed": "DF",
    "DropOverload": "DO",
    "UnconditionalDropOverload": "UDO",
    "DownstreamRemoteReset": "DR",
}


def short_flags(columns: Columns) -> pa.Array:
    """The flags by their short names; a custom flag, which has one name only, stays as it is."""
    if not _has(columns, "flags_long"):
        return columns["flags"]
    encoded = _text(columns["flags_long"]).dictionary_encode()
    short = [
        ",".join(_LONG_FLAGS.get(flag, flag) for flag in text.split(","))
        for text in encoded.dictionary.to_pylist()
    ]
    return pc.coalesce(_text(columns["flags"]), pa.array(short, pa.string()).take(encoded.indices))


def request_ids(columns: Columns, tcp: pa.Array) -> pa.Array:
    """An HTTP stream's id is its x-request-id; a connection's is a random one."""
    if not _has(columns, "stream_id"):
        return columns["request_id"]
    http = pc.if_else(tcp, pa.scalar(None, pa.string()), _text(columns["stream_id"]))
    return pc.coalesce(_text(columns["request_id"]), http)


def durations(columns: Columns) -> pa.Array:
    """Microseconds; of a form that has milliseconds only, those."""
    millis = pc.multiply(non_negative(number(columns["duration"])), 1000)
    if not _has(columns, "duration_us"):
        return millis
    return pc.coalesce(non_negative(number(columns["duration_us"])), millis)


def times(columns: Columns) -> Columns:
    """The timing breakdown, as far as it was logged."""
    found = {name: non_negative(number(columns[name])) for name in TIMES_US if _has(columns, name)}
    for operator, name in TIMES_MS.items():
        if _has(columns, operator):
            micros = pc.multiply(non_negative(number(columns[operator])), 1000)
            found[name] = pc.coalesce(found[name], micros) if name in found else micros
    return found


def principals(columns: Columns, reporter: pa.Array) -> Columns:
    """Who called (by its certificate, else as the header tells the called side) and who was called."""
    arrived = pc.is_in(reporter, pa.array(["destination", "waypoint"]))
    found: Columns = {}
    if _has(columns, "peer_san") or _has(columns, "forwarded_cert"):
        nearest = _uri(columns["forwarded_cert"], NEAREST_URI)
        nearest = pc.if_else(arrived, nearest, pa.scalar(None, pa.string()))
        found["source_principal"] = pc.coalesce(_uri(columns["peer_san"], _FIRST_URI), nearest)
    if _has(columns, "local_san") or _has(columns, "upstream_san"):
        ours, theirs = (_uri(columns[name], _FIRST_URI) for name in ("local_san", "upstream_san"))
        found["destination_principal"] = pc.if_else(arrived, ours, theirs)
    return found


def leftovers(columns: Columns, rows: Columns) -> Columns:
    """Attributes of what no column tells. ``rows``: the columns made so far."""
    found = {key: columns[name] for name, key in _ATTRIBUTES.items() if _has(columns, name)}
    if _has(columns, "stream_id"):
        same = pc.fill_null(pc.equal(_text(columns["stream_id"]), rows["request_id"]), False)
        found["stream_id"] = pc.if_else(same, pa.scalar(None, pa.string()), _text(columns["stream_id"]))
    for name, key in (("local_san", "downstream_local_uri_san"), ("upstream_san", "upstream_peer_uri_san")):
        if _has(columns, name):
            said = pc.fill_null(pc.equal(_text(columns[name]), rows["destination_principal"]), False)
            found[key] = pc.if_else(said, pa.scalar(None, pa.string()), _text(columns[name]))
    return found


def _uri(values: pa.Array, pattern: str) -> pa.Array:
    return pc.struct_field(pc.extract_regex(_text(values), pattern), 0)


def _has(columns: Columns, name: str) -> bool:
    return columns[name].null_count < len(columns[name])


def _text(values: pa.Array) -> pa.Array:
    return values if pa.types.is_string(values.type) else values.cast(pa.string())
