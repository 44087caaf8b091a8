-- Counts of days before $before (a midnight), or of a clock that is ahead (after $after), of which no file has rows or
-- counts.
delete from {{counts}}
where ({{moment}} < $before or {{moment}} > $after) and not exists (
    select 1 from catalogue.segments as segment
    where segment.min_time < date_trunc('day', {{moment}}) + interval 1 day
      and segment.max_time >= date_trunc('day', {{moment}})
)
