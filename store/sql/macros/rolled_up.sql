-- Rows of the rollup, in one shape.

-- Of the spans of relation `spans` those of a length that begin in [from_time, to_time). What the files can be asked is
-- said of them, too.
create or replace macro merged_at(spans, length, from_time, to_time) as table
select merged.*, is_open, is_apart
from edges_merged as merged
join (
    from query_table(spans)
    where span_minutes = length and since >= from_time::timestamp and since < to_time::timestamp
) as span using (span_minutes, since)
where span_minutes = length and merged.since >= from_time::timestamp and merged.since < to_time::timestamp;

-- The same of the minutes of relation `minutes`.
create or replace macro sealed_at(minutes, from_time, to_time) as table
select 1 as span_minutes, minute as since, sealed.* exclude (minute), is_open, is_apart
from edges_1m as sealed
join (
    from query_table(minutes) where minute >= from_time::timestamp and minute < to_time::timestamp
) as single using (minute)
where minute >= from_time::timestamp and minute < to_time::timestamp;

-- All that a window counts of it: the spans of relations `chosen` and `beside`, and the minutes of `single`.
create or replace macro rollup_rows(chosen, beside, single, from_time, to_time) as table
-- Mostly some spans and minutes at either end of the window, which lie together in the files.
from merged_at(chosen, 1440, from_time, to_time)
union all by name
from merged_at(chosen, 360, from_time, head_until(360, from_time, to_time))
union all by name
from merged_at(chosen, 360, tail_since(360, from_time, to_time), to_time)
union all by name
from merged_at(chosen, 60, from_time, head_until(60, from_time, to_time))
union all by name
from merged_at(chosen, 60, tail_since(60, from_time, to_time), to_time)
union all by name
from merged_at(chosen, 10, from_time, head_until(10, from_time, to_time))
union all by name
from merged_at(chosen, 10, tail_since(10, from_time, to_time), to_time)
union all by name
from merged_at(beside, 60, from_time, to_time)
union all by name
from sealed_at(single, from_time, head_until(1, from_time, to_time))
union all by name
from sealed_at(single, tail_since(1, from_time, to_time), to_time)
union all by name
from sealed_at(single, head_until(1, from_time, to_time), tail_since(1, from_time, to_time));
