-- The macros of these names for one reader, where the rollup tells the percentiles: rows none.
create temp macro is_exact(from_time, to_time) as false;
