-- The macros of these names for one reader, where rows tell the percentiles: nothing is looked for in the rollup but the
-- counts of single minutes.
create temp macro is_exact(from_time, to_time) as true;
create temp macro whole_spans(from_time, to_time, step_us) as table
select null::integer as span_minutes, null::timestamp as since, null::timestamp as until where false;
create temp macro merged_at(spans, length, from_time, to_time) as table
select *, false as is_open, false as is_apart from edges_merged where false;
create temp macro rollup_percentiles(
    rolled, uncounted, found, uneven, placed_lane, loose_lane, place, from_time, to_time, step_us
)
as table
select null::bigint as bucket, null::integer as group_no, null::varchar as signal, null::double[] as quantiles_us where false
