-- List the spans (of these lengths) in which there are minutes, as not merged yet.
insert into {{known}}.merged_minutes
select span_minutes, since, false
from (
    select distinct span_minutes, time_bucket(to_minutes(span_minutes), minute) as since
    from (select distinct minute from {{minutes}}), (select unnest(?::integer[]) as span_minutes)
)
anti join {{known}}.merged_minutes using (span_minutes, since)
