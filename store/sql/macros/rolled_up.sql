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

-- How many measurements lie in each bucket of latency, by the place of their lane (relation `placed`): of the rollup's
-- rows, of rows that it has not counted, and of rows that do not show their caller.
create or replace macro latency_at(rolled, told, found, placed) as table
select bucket, place_no, latency_bucket, sum(n)::bigint as n
from (
    select bucket, place_no, unnest(map_keys(latency)) as latency_bucket, unnest(map_values(latency)) as n
    from query_table(rolled) as rolled
    join query_table(placed) as placed on placed.lane_key = rolled.lane_key and placed.hour_no = rolled.hour_no
        and minutes & minute_bit <> 0
    where status_code is distinct from 101
    union all
    select bucket, place_no, latency_bucket, n
    from query_table(told) as told
    join query_table(placed) as placed on placed.lane_key = told.lane_key and placed.hour_no = told.hour_no
        and minutes & minute_bit <> 0
    union all
    select bucket, place_no, latency_bucket, 1 from query_table(found)
)
group by all;
