-- Spans of proxies and applications, ids as lower-case hexadecimal text.
create or replace view spans as
select
    time, time_ns, duration_ns,
    replace(trace_id::varchar, '-', '') as trace_id, printf('%016x', span_id) as span_id,
    case when parent_span_id is not null then printf('%016x', parent_span_id) end as parent_span_id,
    trace_state, flags, name, kind, status, status_message, service_name, scope_name, scope_version,
    scope_attributes, scope_schema_url,
    is_proxy, emitter, method, url, status_code, grpc_status,
    list_filter(string_split(coalesce(response_flags, ''), ','), lambda flag: flag not in ('', '-')) as response_flags,
    upstream_cluster, upstream_address, peer_address, target_kind, target_system, target_name, target_address,
    target_operation, request_id, user_agent, request_bytes, response_bytes,
    spans_raw.attributes, events,
    list_transform(links, lambda link: struct_pack(
        trace_id := lower(hex(link.trace_id)), span_id := printf('%016x', link.span_id),
        trace_state := link.trace_state, attributes := link.attributes,
        dropped_attributes_count := link.dropped_attributes_count, flags := link.flags
    )) as links,
    resources.attributes as resource,
    spans_raw.dropped_attributes_count, dropped_events_count, dropped_links_count
from spans_raw
left join resources using (resource_key);
