-- The spans of one trace, oldest first, at most one more than are shown.
select
    printf('%016x', span_id) as span_id,
    case when parent_span_id is not null then printf('%016x', parent_span_id) end as parent_span_id,
    name, kind, service, workload, namespace, version, coalesce(is_proxy, false) as is_proxy, time_ns, duration_ns,
    epoch_us(time) as time_us, status, status_message, failed, status_code, grpc_status, response_flags, method, url,
    upstream_cluster, upstream_address, peer_address, request_id, user_agent, request_bytes, response_bytes,
    map_entries(attributes) as attributes, map_entries(resources.attributes_of) as resource,
    list_transform(events, lambda event: struct_pack(
        time_ns := event.time_ns, "name" := event.name, attributes := map_entries(event.attributes)
    )) as events,
    list_transform(links, lambda link: struct_pack(
        trace_id := replace(link.trace_id::uuid::varchar, '-', ''), span_id := printf('%016x', link.span_id)
    )) as links
from named_spans() as span
left join (select resource_key, attributes as attributes_of from resources) as resources using (resource_key)
where trace_id = $trace_id::uuid
order by time_ns, span_id
limit $limit
