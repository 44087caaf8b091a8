-- The facts 'buckets' of `edge_facts`: where percentiles are not exact, how many measurements lie in which buckets of
-- latency, of the rollup's rows, of rows it has not counted, and of rows that do not show their caller.
create or replace macro bucket_facts(rolled, uncounted, uneven, loose, from_time, to_time, step_us) as table
select
    'buckets' as fact, bucket, lane_key, hour_no, minute_bit as minutes,
    map_keys(latency) as latency_buckets, map_values(latency) as latency_rows
from query_table(rolled)
where status_code is distinct from 101 and not is_exact(from_time, to_time)
union all by name
select
    'buckets' as fact, bucket, lane_key, hour_no, minute_bit as minutes,
    list(latency_bucket) as latency_buckets, list(n::ubigint) as latency_rows
from (
    select
        lane_key,
        case when lane_key in (select lane_key from query_table(uneven)) then epoch_us(time) // 3600000000 else -1 end as hour_no,
        case when lane_key in (select lane_key from query_table(uneven)) then minute_bit(time) else first_minutes(60) end as minute_bit,
        step_of(time, from_time, to_time, step_us) as bucket, latency_bucket(duration_us) as latency_bucket, count(*) as n
    from query_table(uncounted)
    where duration_us is not null and status_code is distinct from 101 and not is_exact(from_time, to_time)
    group by all
)
group by all
union all by name
select
    'buckets' as fact, bucket, place_no, list(latency_bucket) as latency_buckets, list(n::ubigint) as latency_rows
from (
    select bucket, place_no, latency_bucket(duration_us) as latency_bucket, count(*) as n
    from query_table(loose)
    where not is_exact(from_time, to_time)
    group by all
)
group by all;
