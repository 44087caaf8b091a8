-- Everything the graph and the time series count, in one pass per question and as few groups as possible.
--   fact 'count'    per edge, view, leg, signal, called service and kind of answer: sums
--        'latency'  per edge, view and leg: percentiles, of rows exact (quantile_cont), else `signal` is 'rollup'
--        'node'     per called node: percentiles over the client view's rows into it (with `only_no`: over
--                   all that it kept, per view)
-- `bucket` counts steps of `step_us` since `from_time` (one step as long as the window: always 0).
-- `only_no` keeps the edge with that number, or the edges into the node with that number (out of it, where
-- nobody calls it); null keeps all.
-- Upgrades (101) are sessions: no latency.
--
-- What makes it quick: of whole minutes that are sealed the rollup has the counts, and of windows that are not
-- `is_exact` the percentiles too, so only those of short windows read every row. Rows and rollup are counted by (peer_key, kind of answer) *before* they meet the lanes, by
-- integers and short strings. Nearly every peer means the same in every minute; only those of the others
-- (and of TCP, whose denials are told by their details alone) are counted minute by minute.
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
seen as not materialized (
    from told_rows('observations_stored', 'spans_stored', from_time, to_time)
    union all by name
    select peer_key as lane_key, * exclude (peer_key) from called
),
-- The rows no rollup has counted: those of minutes that the window cuts, and those not sealed yet.
uncounted as not materialized (
    from told_rows('observations_stored', 'spans_stored', from_time, counted_since(from_time, to_time, step_us))
    union all
    from told_rows('observations_stored', 'spans_stored', counted_until(from_time, to_time, step_us), to_time)
    union all
    from told_rows(
        'observations_unsealed', 'spans_unsealed',
        counted_since(from_time, to_time, step_us), counted_until(from_time, to_time, step_us)
    )
    union all by name
    select peer_key as lane_key, * exclude (peer_key) from called
),
-- Rows that do not show their direct caller (see `claims`); what no caller's row claims stays `unknown`'s.
loose as materialized (
    select
        peer_key, time, request_id, downstream_local_address, status_code, grpc_status, response_flags, tls,
        case when status_code is null then response_code_details end as details,
        duration_us, attempts, request_bytes, response_bytes
    from observations_stored
    where may_be_loose() and time >= from_time::timestamp and time < to_time::timestamp
      and peer_key in (select lane_key from every_lane where unlinked)
),
claimed as (
    from claims('loose', 'every_lane', from_time, to_time)
),
found as materialized (
    select
        coalesce(claimed.caller_key, loose.peer_key) as lane_key,
        coalesce(claimed.caller_minute_no, epoch_us(loose.time) // 60000000) as minute_no,
        claimed.caller_key is not null as linked,
        step_of(loose.time, from_time, to_time, step_us) as bucket,
        status_code, grpc_status, response_flags, tls, details, duration_us, attempts, request_bytes, response_bytes
    from loose left join claimed using (peer_key, time, request_id, downstream_local_address)
),
-- Of a gateway's row only the leg towards it is loose: what it called is known, and counted with `seen`.
loose_lane as materialized (
    from lane where linked or unlinked
),
counted as (
    -- `in` as a value, not as a condition: as one the planner, who cannot know how few keys are uneven,
    -- would rather build its hash table from every row of the window.
    select
        lane_key,
        case when lane_key in (select lane_key from uneven) then epoch_us(time) // 60000000 else -1 end as minute_no,
        step_of(time, from_time, to_time, step_us) as bucket, status_code, grpc_status, response_flags, tls,
        case when lane_key in (select lane_key from uneven) and status_code is null then response_code_details end as details,
        count(*) as requests, saturated(sum(duration_us)) as duration_us, count(duration_us) as timed,
        sum(attempts)::bigint as attempts, count(attempts) as attempts_known,
        saturated(sum(request_bytes)) as request_bytes, saturated(sum(response_bytes)) as response_bytes
    from uncounted
    group by all
    union all
    select
        peer_key,
        case when peer_key in (select lane_key from uneven) then epoch_us(minute) // 60000000 else -1 end,
        step_of(minute, from_time, to_time, step_us), status_code, grpc_status, response_flags, tls,
        case when status_code is null then details_class end,
        "rows", duration_us_sum, duration_rows, attempts, attempts_rows, request_bytes, response_bytes
    from edges_1m
    where minute >= counted_since(from_time, to_time, step_us)
      and minute < counted_until(from_time, to_time, step_us)
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
-- What percentiles are of, by small numbers: grouping rows by ids and names costs more than the percentiles.
-- A node that is called in one place only has that place's percentiles; others are a group of their own.
place as materialized (
    select *, case when node_group < 0 then [place_no, node_group] else [place_no] end as groups
    from (
        select
            row_number() over () as place_no, edge_no, called_no, view, leg,
            case
                when only_no is null and view = 'server' then null
                when count(*) over (partition by called_no, view) = 1 then place_no
                else -dense_rank() over (order by called_no, view)
            end as node_group
        from (
            select edge_no, coalesce(only_no, target_no) as called_no, view, leg from known_lane
            union
            select edge_no, coalesce(only_no, target_no), view, leg from loose_lane
        )
    )
),
grouped_lane as materialized (
    select lane_key, minute_no, unnest(groups)::integer as group_no
    from known_lane join place using (edge_no, view, leg)
),
measured as (
    from row_percentiles(
        'seen', 'found', 'uneven', 'loose_lane', 'place', 'grouped_lane', from_time, to_time, step_us
    )
    union all
    from rollup_percentiles(
        'uncounted', 'found', 'uneven', 'known_lane', 'loose_lane', 'place', from_time, to_time, step_us
    )
)
select
    'count' as fact, bucket, edge_no, source_no, target_no, protocol, view, leg, signal, share_service,
    status_code, grpc_status, response_flags, details, tls,
    sum(requests)::bigint as requests, saturated(sum(duration_us)) as duration_us, sum(timed)::bigint as timed,
    sum(attempts)::bigint as attempts, sum(attempts_known)::bigint as attempts_known,
    saturated(sum(request_bytes)) as request_bytes, saturated(sum(response_bytes)) as response_bytes,
    null::double[] as quantiles_us
from tallied
group by all
union all by name
select 'latency' as fact, bucket, edge_no, called_no as target_no, view, leg, signal, quantiles_us
from measured join place on place_no = group_no
union all by name
select 'node' as fact, bucket, called_no as target_no, view, signal, quantiles_us
from measured join (select distinct node_group, called_no, view from place) on node_group = group_no;
