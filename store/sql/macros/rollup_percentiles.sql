-- Percentiles of `edge_facts` where the rollup tells them (not `is_exact`), `signal` 'rollup': of each step and group of
-- `place`, by how many measurements lie in each bucket of latency: those of the rollup's rows (`rolled`), of rows that
-- it has not counted, and of rows that do not show their caller. `ask/exact` puts an empty one before it.
create or replace macro rollup_percentiles(
    rolled, uncounted, found, uneven, placed_lane, loose_lane, place, from_time, to_time, step_us
)
as table
with bucketed as (
    select
        lane_key, hour_no, minute_bit, bucket, unnest(map_keys(latency)) as latency_bucket,
        unnest(map_values(latency)) as n
    from query_table(rolled)
    where status_code is distinct from 101 and not is_exact(from_time, to_time)
    union all
    select
        lane_key,
        case when lane_key in (select lane_key from query_table(uneven)) then epoch_us(time) // 3600000000 else -1 end
            as hour_no,
        case when lane_key in (select lane_key from query_table(uneven)) then minute_bit(time) else first_minutes(60) end
            as minute_bit,
        step_of(time, from_time, to_time, step_us) as bucket, latency_bucket(duration_us), count(*)
    from query_table(uncounted)
    where duration_us is not null and status_code is distinct from 101 and not is_exact(from_time, to_time)
    group by all
),
placed as (
    select bucket, place_no, latency_bucket, sum(n)::bigint as n
    from (
        select bucket, place_no, latency_bucket, n
        from bucketed as told
        join query_table(placed_lane) as lane on lane.lane_key = told.lane_key and lane.hour_no = told.hour_no
            and minutes & minute_bit <> 0
        union all
        select bucket, place_no::integer, latency_bucket(duration_us), 1
        from query_table(found) join query_table(loose_lane) using (lane_key, minute_no, linked)
        join query_table(place) using (edge_no, view, leg)
        where duration_us is not null and status_code is distinct from 101 and not is_exact(from_time, to_time)
    )
    group by all
),
reached as (
    select
        bucket, group_no, bucket_duration_us(latency_bucket) as duration_us, (sum(n) over upto)::bigint as reached,
        (sum(n) over (partition by bucket, group_no))::bigint as total
    from (
        select bucket, group_no, latency_bucket, sum(n)::bigint as n
        from (
            select bucket, latency_bucket, n, unnest(groups)::integer as group_no
            from placed join query_table(place) using (place_no)
        )
        group by all
    )
    window upto as (partition by bucket, group_no order by latency_bucket)
)
select bucket, group_no, 'rollup' as signal, [
    quantile_of_buckets(0.5, reached, total, duration_us), quantile_of_buckets(0.9, reached, total, duration_us),
    quantile_of_buckets(0.95, reached, total, duration_us), quantile_of_buckets(0.99, reached, total, duration_us)
] as quantiles_us
from reached
group by bucket, group_no;
