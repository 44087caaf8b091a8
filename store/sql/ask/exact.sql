-- The macros of these names for one reader, where rows tell the percentiles: nothing is looked for in the rollup but the
-- counts of single minutes.
create temp macro is_exact(from_time, to_time) as true;
create temp macro whole_spans(from_time, to_time, step_us) as table
select null::integer as span_minutes, null::timestamp as since, null::timestamp as until where false;
create temp macro merged_at(spans, length, from_time, to_time) as table
select *, false as is_open, false as is_apart from edges_merged where false;
create temp macro latency_at(rolled, told, found, placed) as table
select null::bigint as bucket, null::integer as place_no, null::integer as latency_bucket, null::bigint as n where false
