-- Where the steps of a question begin, which minutes of it the rollup may count, and between which of its ends the spans
-- lie that it takes.
with span as materialized (
    from whole_spans($from_time, $to_time, $step_us)
),
chosen as materialized (
    select *, since < $from_time::timestamp + ($to_time::timestamp - $from_time::timestamp) / 2 as is_head
    from largest_of('span')
)
select
    counted_since($from_time, $to_time, $step_us) as counted_since,
    counted_until($from_time, $to_time, $step_us) as counted_until,
    steps_since($from_time, $to_time, $step_us) as steps_since,
    coalesce(min(since), $to_time::timestamp) as minutes_until, coalesce(max(until), $to_time::timestamp) as minutes_since,
    coalesce(max(until) filter (span_minutes = 10 and is_head), $from_time::timestamp) as tens_until,
    coalesce(min(since) filter (span_minutes = 10 and not is_head), $to_time::timestamp) as tens_since,
    coalesce(max(until) filter (span_minutes = 60 and is_head), $from_time::timestamp) as hours_until,
    coalesce(min(since) filter (span_minutes = 60 and not is_head), $to_time::timestamp) as hours_since,
    coalesce(max(until) filter (span_minutes = 360 and is_head), $from_time::timestamp) as quarters_until,
    coalesce(min(since) filter (span_minutes = 360 and not is_head), $to_time::timestamp) as quarters_since
from chosen
