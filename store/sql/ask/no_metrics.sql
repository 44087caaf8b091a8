-- The macro of this name for one reader, where nobody reports by metrics: nothing is outdone by them.
create temp macro metric_outdone(from_time, to_time) as table
select null::varchar as proxy, null::timestamp as "minute", null::varchar as leg, null::varchar as callee where false
