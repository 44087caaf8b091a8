-- The macros of these names for one reader, where rows tell the percentiles: the rollup none.
create temp macro is_exact(from_time, to_time) as true;
create temp macro rollup_percentiles(
    uncounted, found, uneven, known_lane, loose_lane, place, from_time, to_time, step_us
)
as table
select null::bigint as bucket, null::integer as group_no, null::varchar as signal, null::double[] as quantiles_us where false
