-- Applications' spans that count, as observations: `peer_key` is the key their lanes are found by (see
-- `span_links`). What has no code says by its status that it failed.
create or replace macro span_calls(from_time, to_time) as table
select
    span.time, span.duration_ns // 1000 as duration_us, link.reporter, 'span' as signal, span.emitter, link.protocol,
    span.method,
    coalesce(span.target_address, nullif(regexp_extract(span.url, '^[a-z]+://([^/?#]+)', 1), '')) as authority,
    nullif(regexp_extract(span.url, '^(?:[a-z]+://[^/?#]+)?(/.*)$', 1), '') as path,
    span.name as route,
    case
        when link.protocol = 'tcp' then null
        -- By the conventions the code stands on every HTTP span that got or gave an answer.
        when link.protocol = 'http' and span.status_code is null and span.status = 'error' then 0
        else span.status_code
    end as status_code,
    case when link.protocol = 'grpc' then span.grpc_status end as grpc_status,
    case
        when link.protocol = 'tcp' and span_failed(span.status, false, span.status_code, null) then 'span_error'
        when link.protocol = 'grpc' and span.grpc_status is null and span.status = 'error' then 'span_error'
    end as response_code_details,
    span.peer_address as source_address, span.target_address as upstream_address,
    span.request_bytes, span.response_bytes, span.request_id, span.trace_id, span.span_id, span.user_agent,
    span.attributes, link.lane_key as peer_key
from spans_raw as span
join span_links(from_time, to_time) as link
    on link.span_id = span.span_id and link.trace_id = span.trace_id and link.peer_key = span.peer_key
where span.time >= from_time::timestamp and span.time < to_time::timestamp;
