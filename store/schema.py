"""The shared vocabulary: the Arrow schemas of everything a collector hands to the store.

A *batch* is a set of these tables. Decoders produce them, the journal carries them, the loader
inserts them; column names here are the column names users meet in SQL wherever nothing is
resolved in between. What must stay true:

* every table begins with ``export``: the index, within its batch, of the request body the row
  came from (so that an export delivered twice can be dropped whole);
* a row holds what was *reported*; names are resolved when read (design: invariant 6);
* a value that cannot be known is null, never 0 or "";
* a change of any schema raises ``SCHEMA_VERSION``.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 2

TEXT = pa.string()
MOMENT = pa.timestamp("us")
TRACE_ID = pa.uuid()
TEXT_MAP = pa.map_(TEXT, TEXT)

OBSERVATIONS = pa.schema(
    [
        ("export", pa.int32()),
        # Start of the request or connection, UTC, and how long it took (null: not known).
        ("time", MOMENT),
        ("duration_us", pa.int64()),
        # 'source' (outbound listener) | 'destination' (inbound) | 'gateway' | 'waypoint'
        ("reporter", TEXT),
        # 'als' | 'otlp_log' | 'file' | 'ztunnel' (connections only) ('span' rows are derived from `spans`, never sent)
        ("signal", TEXT),
        # The proxy that reported it: 'POD.NAMESPACE', else '@IP' of the connection, else null.
        ("emitter", TEXT),
        ("protocol", TEXT),  # 'http' | 'grpc' | 'tcp'
        ("http_version", TEXT),  # '1.0' | '1.1' | '2' | '3'
        ("method", TEXT),
        ("authority", TEXT),
        ("path", TEXT),
        ("route", TEXT),
        ("status_code", pa.int32()),  # 0: no response was sent; null for TCP
        ("grpc_status", pa.int32()),  # null: unknown or not gRPC
        ("response_flags", TEXT),  # 'URX,UF' as Envoy spells them; '' when there are none
        ("response_code_details", TEXT),
        ("upstream_cluster", TEXT),  # without the trailing ';' of an alt_stat_name
        # IP:PORT of the *direct* downstream peer. Null where only X-Forwarded-For is known.
        ("source_address", TEXT),
        # IP:PORT of the upstream host, the last one tried (on an inbound row: the application).
        ("upstream_address", TEXT),
        ("upstream_local_address", TEXT),
        ("downstream_local_address", TEXT),
        ("sni", TEXT),
        ("source_principal", TEXT),  # SPIFFE URIs
        ("destination_principal", TEXT),
        ("request_bytes", pa.int64()),
        ("response_bytes", pa.int64()),
        ("attempts", pa.int32()),  # upstream attempts; 0 when none was made, null: cannot be known
        ("request_id", TEXT),
        ("trace_id", TRACE_ID),
        ("span_id", pa.uint64()),
        ("tls", TEXT),  # downstream side: 'mutual' | 'simple' | 'none' | null
        ("user_agent", TEXT),
        ("forwarded_for", TEXT),
        # Timing breakdown, microseconds since `time`.
        ("request_last_rx_us", pa.int64()),
        ("upstream_first_tx_us", pa.int64()),
        ("upstream_last_tx_us", pa.int64()),
        ("upstream_first_rx_us", pa.int64()),
        ("upstream_last_rx_us", pa.int64()),
        ("downstream_first_tx_us", pa.int64()),
        ("downstream_last_tx_us", pa.int64()),
        ("attributes", TEXT_MAP),
    ]
)

EVENT = pa.struct(
    [
        ("time_ns", pa.int64()),
        ("name", TEXT),
        ("attributes", TEXT_MAP),
        ("dropped_attributes_count", pa.uint32()),
    ]
)
LINK = pa.struct(
    [
        ("trace_id", TRACE_ID.storage_type),
        ("span_id", pa.uint64()),
        ("trace_state", TEXT),
        ("attributes", TEXT_MAP),
        ("dropped_attributes_count", pa.uint32()),
        ("flags", pa.uint32()),
    ]
)
EXEMPLAR = pa.struct(
    [
        ("time_ns", pa.int64()),
        ("value", pa.float64()),
        ("value_int", pa.int64()),
        ("trace_id", TRACE_ID.storage_type),
        ("span_id", pa.uint64()),
        ("attributes", TEXT_MAP),
    ]
)

SPANS = pa.schema(
    [
        ("export", pa.int32()),
        ("resource", pa.int32()),  # row number in `resources` of the same batch
        ("time", MOMENT),
        ("time_ns", pa.int64()),  # the same start, with what microseconds cut off
        ("duration_ns", pa.int64()),  # 0 where the end lay before the start (attribute says so)
        ("trace_id", TRACE_ID),
        ("span_id", pa.uint64()),
        ("parent_span_id", pa.uint64()),  # null: a root
        ("trace_state", TEXT),
        ("flags", pa.uint32()),
        ("name", TEXT),
        ("kind", TEXT),  # 'unspecified'|'internal'|'server'|'client'|'producer'|'consumer'
        ("status", TEXT),  # 'unset' | 'ok' | 'error'
        ("status_message", TEXT),
        ("service_name", TEXT),
        ("scope_name", TEXT),
        ("scope_version", TEXT),
        ("scope_attributes", TEXT_MAP),  # null where there are none
        ("scope_schema_url", TEXT),
        # What a span says of itself (attributes promoted to columns, see collector/decode/identity.py)
        ("is_proxy", pa.bool_()),
        # 'POD.NAMESPACE', else '@IP'; an application without either: 'NAME/INSTANCE.NAMESPACE'.
        ("emitter", TEXT),
        ("method", TEXT),
        ("url", TEXT),
        ("status_code", pa.int32()),
        ("grpc_status", pa.int32()),
        ("response_flags", TEXT),
        ("upstream_cluster", TEXT),
        ("upstream_address", TEXT),
        ("peer_address", TEXT),
        # What an application's client or producer calls and a consumer takes from, as it names it.
        ("target_kind", TEXT),  # 'database' | 'queue' | null
        ("target_system", TEXT),  # 'postgresql', 'kafka', 'grpc', …
        ("target_name", TEXT),  # database, queue, or peer service
        ("target_address", TEXT),  # HOST[:PORT]
        ("target_operation", TEXT),  # of messaging: 'send' | 'receive' | 'process' | …
        ("request_id", TEXT),
        ("user_agent", TEXT),
        ("request_bytes", pa.int64()),
        ("response_bytes", pa.int64()),
        ("attributes", TEXT_MAP),  # the rest, as text
        ("events", pa.list_(EVENT)),
        ("links", pa.list_(LINK)),
        ("dropped_attributes_count", pa.uint32()),
        ("dropped_events_count", pa.uint32()),
        ("dropped_links_count", pa.uint32()),
    ]
)

RESOURCES = pa.schema(
    [
        ("export", pa.int32()),
        ("resource", pa.int32()),
        ("attributes", TEXT_MAP),
        ("schema_url", TEXT),
        ("dropped_attributes_count", pa.uint32()),
    ]
)

LOGS = pa.schema(
    [
        ("export", pa.int32()),
        ("resource", pa.int32()),
        ("time", MOMENT),
        ("time_ns", pa.int64()),
        ("observed_time", MOMENT),
        ("severity_number", pa.int32()),
        ("severity_text", TEXT),
        ("body", TEXT),
        ("event_name", TEXT),
        ("trace_id", TRACE_ID),
        ("span_id", pa.uint64()),
        ("flags", pa.uint32()),
        ("service_name", TEXT),
        ("scope_name", TEXT),
        ("scope_version", TEXT),
        ("scope_attributes", TEXT_MAP),  # null where there are none
        ("scope_schema_url", TEXT),
        ("attributes", TEXT_MAP),
        ("dropped_attributes_count", pa.uint32()),
    ]
)

METRIC_POINTS = pa.schema(
    [
        ("export", pa.int32()),
        ("resource", pa.int32()),
        ("time", MOMENT),
        ("start_time", MOMENT),
        ("name", TEXT),
        ("description", TEXT),
        ("unit", TEXT),
        ("type", TEXT),  # 'gauge' | 'sum' | 'histogram' | 'exponential_histogram' | 'summary'
        ("temporality", TEXT),  # 'delta' | 'cumulative' | null
        ("monotonic", pa.bool_()),
        ("service_name", TEXT),
        ("scope_name", TEXT),
        ("scope_version", TEXT),
        ("scope_attributes", TEXT_MAP),  # null where there are none
        ("scope_schema_url", TEXT),
        ("attributes", TEXT_MAP),
        ("flags", pa.uint32()),
        ("value", pa.float64()),
        ("value_int", pa.int64()),
        ("count", pa.uint64()),
        ("sum", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("bounds", pa.list_(pa.float64())),
        ("bucket_counts", pa.list_(pa.uint64())),
        ("scale", pa.int32()),
        ("zero_count", pa.uint64()),
        ("zero_threshold", pa.float64()),
        ("positive_offset", pa.int32()),
        ("positive_counts", pa.list_(pa.uint64())),
        ("negative_offset", pa.int32()),
        ("negative_counts", pa.list_(pa.uint64())),
        ("quantiles", pa.list_(pa.struct([("quantile", pa.float64()), ("value", pa.float64())]))),
        ("metadata", TEXT_MAP),  # of the metric; null where there is none
        ("exemplars", pa.list_(EXEMPLAR)),
    ]
)

# What a batch teaches the registry: one row per (emitter, address) and piece of evidence.
IDENTITIES = pa.schema(
    [
        ("export", pa.int32()),
        ("time", MOMENT),  # when it was true (first row of the batch that shows it)
        ("evidence", TEXT),  # 'als_node' | 'span' | 'resource' | 'peer' | 'file' | 'sni'
        ("emitter", TEXT),  # 'POD.NAMESPACE' or null
        ("address", TEXT),  # IP or null
        ("node_type", TEXT),  # 'sidecar' | 'router' | 'waypoint' | 'ztunnel' | null (no proxy)
        ("cluster", TEXT),
        ("namespace", TEXT),
        ("pod", TEXT),
        ("workload", TEXT),
        ("app", TEXT),
        ("version", TEXT),
        ("service", TEXT),
        ("service_account", TEXT),
        ("zone", TEXT),
    ]
)

REJECTS = pa.schema(
    [
        ("export", pa.int32()),
        ("time", MOMENT),  # when it was received
        ("source", TEXT),  # 'otlp_traces', 'als', 'istio_text', ...
        ("place", TEXT),  # 'resource_spans[0].scope_spans[0].spans[3].trace_id', 'access.log:17'
        ("reason", TEXT),  # what is wrong and what was expected
        ("sample", TEXT),  # at most 256 characters of it
    ]
)

TABLES: dict[str, pa.Schema] = {
    "observations": OBSERVATIONS,
    "spans": SPANS,
    "resources": RESOURCES,
    "logs": LOGS,
    "metric_points": METRIC_POINTS,
    "identities": IDENTITIES,
    "rejects": REJECTS,
}
