-- Where the steps of a question begin, and which minutes of it the rollup may count.
select
    counted_since($from_time, $to_time, $step_us) as counted_since,
    counted_until($from_time, $to_time, $step_us) as counted_until,
    steps_since($from_time, $to_time, $step_us) as steps_since
