-- The macro of this name for one reader, where the rollup tells the percentiles.
create temp macro is_exact(from_time, to_time) as false
