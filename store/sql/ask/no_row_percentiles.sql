-- The macro of this name for one reader, where the rollup tells the percentiles (`ask/rolled_up`).
create temp macro row_percentiles(seen, found, uneven, loose_lane, place, grouped_lane, from_time, to_time, step_us)
as table
select null::bigint as bucket, null::integer as group_no, null::varchar as signal, null::double[] as quantiles_us where false
