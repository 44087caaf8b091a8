-- The percentiles of each place of some `edge_facts` over a window, in SQL as `store.percentiles` makes them, to the digit:
-- of rows as quantile_cont does, of buckets as `quantile_of_buckets`.
create or replace macro place_percentiles(facts, from_time, to_time, step_us) as table
with lane as materialized (
    select lane_key, hour_no, minutes, place_no from query_table(facts) where fact = 'lane'
),
bucketed as (
    select place_no, latency_bucket, sum(n)::bigint as n
    from (
        select
            coalesce(told.place_no, lane.place_no) as place_no, unnest(latency_buckets) as latency_bucket,
            unnest(latency_rows) as n
        from (from query_table(facts) where fact = 'buckets') as told
        left join lane on lane.lane_key = told.lane_key and lane.hour_no = told.hour_no
            and lane.minutes & told.minutes <> 0
    )
    group by all
),
reached as (
    select
        place_no, bucket_duration_us(latency_bucket) as duration_us, (sum(n) over upto)::bigint as reached,
        (sum(n) over (partition by place_no))::bigint as total
    from bucketed
    window upto as (partition by place_no order by latency_bucket)
),
measured as (
    select place_no, quantile_cont(duration_us, [0.5, 0.9, 0.95, 0.99])::double[] as quantiles_us
    from (
        select place_no, duration_us
        from (
            select
                lane_key, duration_us, minute_no // 60 as hour_no,
                1::ubigint << ((minute_no % 60 + 60) % 60)::ubigint as minute_bit
            from measured_rows('observations_stored', 'spans_stored', from_time, to_time, step_us, true)
        ) as told
        join lane on lane.lane_key = told.lane_key
            and (lane.hour_no = -1 or lane.hour_no = told.hour_no and lane.minutes & minute_bit <> 0)
        union all
        select place_no, duration_us from query_table(facts) where fact = 'row'
    )
    where is_exact(from_time, to_time)
    group by place_no
    union all
    select place_no, [
        quantile_of_buckets(0.5, reached, total, duration_us), quantile_of_buckets(0.9, reached, total, duration_us),
        quantile_of_buckets(0.95, reached, total, duration_us), quantile_of_buckets(0.99, reached, total, duration_us)
    ]
    from reached
    group by place_no
)
select place.edge_no, place.view, place.leg, quantiles_us
from measured join (from query_table(facts) where fact = 'place') as place using (place_no);
