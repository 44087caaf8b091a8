-- The macros of these names for one reader, where the rollup tells the percentiles: rows none.
create temp macro is_exact(from_time, to_time) as false;
create temp macro row_percentiles(seen, found, uneven, loose_lane, place, grouped_lane, from_time, to_time, step_us)
as table
select null::bigint as bucket, null::integer as group_no, null::varchar as signal, null::double[] as quantiles_us where false
