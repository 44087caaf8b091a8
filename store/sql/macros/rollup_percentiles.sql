-- Percentiles of `edge_facts` where the rollup tells them (not `is_exact`), `signal` 'rollup': of each step and group of
-- `place`, by how many measurements lie in each bucket of latency. `ask/exact` puts an empty one before it.
create or replace macro rollup_percentiles(
    uncounted, found, uneven, known_lane, loose_lane, place, from_time, to_time, step_us
)
as table
with bucketed as (
    select
        lane_key,
        case when lane_key in (select lane_key from query_table(uneven)) then epoch_us(time) // 60000000 else -1 end
            as minute_no,
        step_of(time, from_time, to_time, step_us) as bucket, latency_bucket(duration_us) as latency_bucket, count(*) as n
    from query_table(uncounted)
    where duration_us is not null and status_code is distinct from 101 and not is_exact(from_time, to_time)
    group by all
    union all
    select
        peer_key,
        case when peer_key in (select lane_key from query_table(uneven)) then epoch_us(minute) // 60000000 else -1 end,
        step_of(minute, from_time, to_time, step_us), unnest(map_keys(latency)), unnest(map_values(latency))
    from edges_1m
    where minute >= counted_since(from_time, to_time, step_us)
      and minute < counted_until(from_time, to_time, step_us)
      and status_code is distinct from 101 and not is_exact(from_time, to_time)
),
placed as (
    select bucket, groups, latency_bucket, sum(n)::bigint as n
    from (
        select bucket, edge_no, view, leg, latency_bucket, n
        from bucketed join query_table(known_lane) using (lane_key, minute_no)
        union all
        select bucket, edge_no, view, leg, latency_bucket(duration_us), 1
        from query_table(found) join query_table(loose_lane) using (lane_key, minute_no, linked)
        where duration_us is not null and status_code is distinct from 101 and not is_exact(from_time, to_time)
    )
    join query_table(place) using (edge_no, view, leg)
    group by all
),
reached as (
    select
        bucket, group_no, latency_bucket, sum(n) over upto as reached, sum(n) over (partition by bucket, group_no) as total
    from (
        select bucket, group_no, latency_bucket, sum(n)::bigint as n
        from (select * exclude (groups), unnest(groups)::integer as group_no from placed)
        group by all
    )
    window upto as (partition by bucket, group_no order by latency_bucket)
)
select bucket, group_no, 'rollup' as signal, [
    quantile_of_buckets(0.5, reached, total, latency_bucket), quantile_of_buckets(0.9, reached, total, latency_bucket),
    quantile_of_buckets(0.95, reached, total, latency_bucket), quantile_of_buckets(0.99, reached, total, latency_bucket)
] as quantiles_us
from reached
group by bucket, group_no;
