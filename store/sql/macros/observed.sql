-- Everything that counts as an observation, as reported: access-log rows, and the proxies' own listener
-- spans in the same columns. Durations in microseconds; a span knows neither attempts nor TLS.
create or replace macro observed(from_time, to_time) as table
select * from observations_raw
where time >= from_time::timestamp and time < to_time::timestamp
union all by name
select
    time, duration_ns // 1000 as duration_us,
    case
        when starts_with(upstream_cluster, 'inbound|') then 'destination'
        when starts_with(upstream_cluster, 'inbound-vip|') then 'waypoint'
        when kind = 'server' then 'gateway'
        else 'source'
    end as reporter,
    'span' as signal, emitter,
    case when grpc_status is null then 'http' else 'grpc' end as protocol,
    method,
    nullif(regexp_extract(url, '^[a-z]+://([^/?#]+)', 1), '') as authority,
    nullif(regexp_extract(url, '^[a-z]+://[^/?#]+(/.*)$', 1), '') as path,
    name as route, status_code, grpc_status, response_flags, upstream_cluster,
    case when kind <> 'client' or upstream_address is null then peer_address end as source_address,
    upstream_address, request_bytes, response_bytes, request_id, trace_id, span_id, user_agent, attributes, peer_key
from spans_raw
where time >= from_time::timestamp and time < to_time::timestamp and peer_key is not null and is_proxy;
