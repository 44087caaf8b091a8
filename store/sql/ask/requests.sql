-- A page of requests, newest first; `row_hash` orders those of the same microsecond. `$times_us`: when the
-- rows of the page began (see request_times.sql), so that every column is read of few rows only.
with picked as (
    select
        *,
        outcome(protocol, status_code, grpc_status, response_flags, response_code_details, $success) as outcome,
        hash(peer_key, leg, view, request_id, span_id, trace_id, duration_us, source_address, upstream_local_address, path)
            as row_hash
    from lane_rows($from_time, $to_time, $grain)
    where view = $view
      and ($number is null or edge_no = $number::ubigint or target_no = $number::ubigint
           or (not $is_called and source_no = $number::ubigint))
      and epoch_us(time) in (select unnest($times_us::bigint[]))
      and ($trace_id is null or trace_id = $trace_id::uuid)
),
page as (
    select * from picked
    where ($outcome is null or outcome = $outcome)
      and ($before_time is null or time < $before_time::timestamp
           or (time = $before_time::timestamp and row_hash < $before_hash::ubigint))
    order by time desc, row_hash desc
    limit $limit
)
select
    epoch_us(time) as time_us, duration_us / 1000 as duration_ms, reporter, signal, protocol, method, authority, path,
    route, status_code, grpc_status, response_flags, response_code_details, outcome, attempts, request_id,
    replace(trace_id::varchar, '-', '') as trace_id, case when span_id is not null then printf('%016x', span_id) end as span_id, tls, user_agent,
    background_of(user_agent, path, upstream_cluster) as background,
    request_bytes, response_bytes, source_address,
    case when leg = 'out' then upstream_address else downstream_local_address end as destination_address,
    caller.node as source_node, callee.node as target_node, row_hash
from page
left join ends() as caller on caller.end_no = source_end
left join ends() as callee on callee.end_no = target_end
order by time desc, row_hash desc
