-- Counts of minutes before $before of which no row is kept.
delete from {{counts}}
where minute < $before and not exists (
    select 1 from catalogue.segments as segment
    where minute between date_trunc('minute', segment.min_time) and segment.max_time
)
