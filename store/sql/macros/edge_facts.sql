-- Everything the graph and the time series count, in one pass per question and as few groups as possible.
--   fact 'count'    per edge, view, leg, signal, called service and kind of answer: sums
--        'latency'  per edge, view and leg: exact percentiles (quantile_cont)
--        'node'     per called node and view: exact percentiles over the rows into it (with `only_no`: over all
--                   that it kept)
-- `bucket` counts steps of `step_us` since `from_time` (one step as long as the window: always 0).
-- `only_no` keeps the edge with that number, or the edges into the node with that number (out of it, where
-- nobody calls it); null keeps all.
-- Upgrades (101) are sessions: no latency.
--
-- What makes it quick: rows are counted by (peer_key, kind of answer) *before* they meet the lanes, by
-- integers and short strings. Nearly every peer means the same in every minute; only rows of the others
-- (and of TCP, whose denials are told by their details alone) are counted minute by minute. The window is
-- read twice: once for the counts, once for the percentiles.
create or replace macro edge_facts(from_time, to_time, grain, step_us, only_no) as table
with every_lane as materialized (
    from lanes(from_time, to_time, grain)
),
lane as materialized (
    from every_lane
    where only_no is null or edge_no = only_no or target_no = only_no
       or (source_no = only_no and only_no not in (select target_no from every_lane))
),
active as (
    select peer_key as lane_key, count(distinct minute) as minutes
    from activity
    where minute >= date_trunc('minute', from_time::timestamp) - interval 1 minute
      and minute < to_time::timestamp + interval 1 minute
    group by peer_key
),
steady_lane as materialized (
    select
        lane_key, leg, view, signal, protocol, source_no, target_no, edge_no, share_service, count(*) as minutes
    from lane
    where not linked and not unlinked
    group by all
),
uneven as materialized (
    -- Lanes of applications' spans have keys that `activity` does not know.
    select distinct lane_key
    from steady_lane left join active using (lane_key)
    where steady_lane.minutes is distinct from active.minutes or protocol = 'tcp'
),
known_lane as materialized (
    select -1 as minute_no, * exclude (minutes) from steady_lane anti join uneven using (lane_key)
    union all by name
    select * exclude (linked, unlinked, source_end, target_end)
    from lane semi join uneven using (lane_key)
    where not linked and not unlinked
),
called as materialized (
    select
        peer_key, time, status_code, grpc_status, response_code_details, duration_us, request_bytes, response_bytes
    from span_calls(from_time, to_time)
),
observed_row as not materialized (
    -- `in` as a value, not as a condition: as one the planner, who cannot know how few keys are uneven,
    -- would rather build its hash table from every row of the window.
    select
        peer_key as lane_key, peer_key in (select lane_key from uneven) as is_uneven, time, status_code, grpc_status,
        response_flags, tls, response_code_details as details, duration_us, attempts, request_bytes, response_bytes
    from observations_raw
    where time >= from_time::timestamp and time < to_time::timestamp
    union all
    select
        peer_key, peer_key in (select lane_key from uneven), time, status_code, grpc_status,
        response_flags, null, null, duration_ns // 1000, null, request_bytes, response_bytes
    from spans_raw
    where time >= from_time::timestamp and time < to_time::timestamp
      and case when peer_key in (select lane_key from every_lane where signal = 'span') then true else false end
    union all
    select
        peer_key, true, time, status_code, grpc_status, null, null, response_code_details, duration_us, null,
        request_bytes, response_bytes
    from called
),
seen as not materialized (
    select
        lane_key,
        case when is_uneven then epoch_us(time) // 60000000 else -1 end as minute_no,
        case
            when step_us >= epoch_us(to_time::timestamp) - epoch_us(from_time::timestamp) then 0
            else (epoch_us(time) - epoch_us(from_time::timestamp)) // step_us
        end as bucket,
        status_code, grpc_status, response_flags, tls,
        case when is_uneven and status_code is null then details end as details,
        duration_us, attempts, request_bytes, response_bytes
    from observed_row
),
-- Invariant 5c. Inbound rows that do not show their direct caller are matched to the caller's own row by
-- request id and the address the caller sent to; what no caller's row claims stays `unknown`'s.
loose as materialized (
    select
        peer_key, time, request_id, downstream_local_address, status_code, grpc_status, response_flags, tls,
        case when status_code is null then response_code_details end as details,
        duration_us, attempts, request_bytes, response_bytes
    from observations_raw
    where time >= from_time::timestamp and time < to_time::timestamp
      and peer_key in (select lane_key from every_lane where unlinked)
),
claimed as (
    select
        loose.peer_key, loose.time, loose.request_id, loose.downstream_local_address,
        arg_min(calls.peer_key, abs(epoch_us(calls.time) - epoch_us(loose.time))) as caller_key,
        arg_min(epoch_us(calls.time) // 60000000, abs(epoch_us(calls.time) - epoch_us(loose.time))) as caller_minute_no
    from loose
    join observations_raw as calls
        on calls.request_id = loose.request_id and calls.upstream_address = loose.downstream_local_address
    where calls.time >= from_time::timestamp - interval 1 minute and calls.time < to_time::timestamp + interval 1 minute
      and calls.peer_key in (select lane_key from every_lane where leg = 'out' and not linked)
    group by all
),
found as materialized (
    select
        coalesce(claimed.caller_key, loose.peer_key) as lane_key,
        coalesce(claimed.caller_minute_no, epoch_us(loose.time) // 60000000) as minute_no,
        claimed.caller_key is not null as linked,
        (epoch_us(loose.time) - epoch_us(from_time::timestamp)) // step_us as bucket,
        status_code, grpc_status, response_flags, tls, details, duration_us, attempts, request_bytes, response_bytes
    from loose left join claimed using (peer_key, time, request_id, downstream_local_address)
),
-- Of a gateway's row only the leg towards it is loose: what it called is known, and counted with `seen`.
loose_lane as materialized (
    from lane where linked or unlinked
),
counted as (
    select
        lane_key, minute_no, bucket, status_code, grpc_status, response_flags, tls, details,
        count(*) as requests, sum(duration_us) as duration_us, count(duration_us) as timed,
        sum(attempts) as attempts, count(attempts) as attempts_known,
        sum(request_bytes) as request_bytes, sum(response_bytes) as response_bytes
    from seen
    group by all
),
tallied as (
    select * exclude (lane_key, minute_no) from counted join known_lane using (lane_key, minute_no)
    union all by name
    select
        * exclude (lane_key, minute_no, linked, unlinked, source_end, target_end, duration_us, attempts),
        1 as requests, duration_us, (duration_us is not null)::bigint as timed,
        attempts, (attempts is not null)::bigint as attempts_known
    from found join loose_lane using (lane_key, minute_no, linked)
),
-- What percentiles are of, by numbers: grouping rows by the names and ids themselves costs more than the percentiles.
place as materialized (
    select row_number() over () as place_no, dense_rank() over (order by called_no, view) as node_place_no, *
    from (
        select distinct edge_no, coalesce(only_no, target_no) as called_no, view, leg
        from (select edge_no, target_no, view, leg from known_lane union all select edge_no, target_no, view, leg from loose_lane)
    )
),
placed_lane as materialized (
    select lane_key, minute_no, place_no::integer as place_no, node_place_no::integer as node_place_no
    from known_lane join place using (edge_no, view, leg)
),
timed as not materialized (
    select bucket, place_no, node_place_no, duration_us
    from seen join placed_lane using (lane_key, minute_no)
    where duration_us is not null and status_code is distinct from 101
    union all
    select bucket, place_no::integer, node_place_no::integer, duration_us
    from found join loose_lane using (lane_key, minute_no, linked) join place using (edge_no, view, leg)
    where duration_us is not null and status_code is distinct from 101
),
ranked as (
    select
        bucket, place_no, node_place_no,
        quantile_cont(duration_us, [0.5, 0.9, 0.95, 0.99])::double[] as quantiles_us
    from timed
    group by grouping sets ((bucket, place_no), (bucket, node_place_no))
)
select
    'count' as fact, bucket, edge_no, source_no, target_no, protocol, view, leg, signal, share_service,
    status_code, grpc_status, response_flags, details, tls,
    sum(requests)::bigint as requests, sum(duration_us)::bigint as duration_us, sum(timed)::bigint as timed,
    sum(attempts)::bigint as attempts, sum(attempts_known)::bigint as attempts_known,
    sum(request_bytes)::bigint as request_bytes, sum(response_bytes)::bigint as response_bytes,
    null::double[] as quantiles_us
from tallied
group by all
union all by name
select 'latency' as fact, bucket, edge_no, called_no as target_no, view, leg, quantiles_us
from ranked join place using (place_no)
where ranked.place_no is not null
union all by name
select 'node' as fact, bucket, called_no as target_no, view, quantiles_us
from ranked join (select distinct node_place_no, called_no, view from place) using (node_place_no)
where ranked.place_no is null;
