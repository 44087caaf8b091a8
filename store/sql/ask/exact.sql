-- The macros of these names for one reader, where rows tell the percentiles: nothing is looked for in the rollup but the
-- counts of single minutes.
create temp macro is_exact(from_time, to_time) as true;
create temp macro whole_spans(from_time, to_time, step_us) as table
select null::integer as span_minutes, null::timestamp as since, null::timestamp as until where false;
create temp macro rollup_rows(chosen, beside, single, from_time, to_time) as table
from sealed_at(single, from_time, to_time);
create temp macro bucket_facts(rolled, uncounted, uneven, loose, from_time, to_time, step_us) as table
select
    'buckets' as fact, null::bigint as bucket, null::ubigint as lane_key, null::bigint as hour_no, null::ubigint as minutes,
    null::integer as place_no, null::integer[] as latency_buckets, null::ubigint[] as latency_rows
where false
