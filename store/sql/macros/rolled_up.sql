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
