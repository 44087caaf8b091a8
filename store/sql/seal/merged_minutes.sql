-- List the spans (of these lengths) of what is sealed that are not listed yet: they wait to be merged.
insert into catalogue.merged_minutes
select span_minutes, since, false
from (
    select distinct span_minutes, time_bucket(to_minutes(span_minutes), minute) as since
    from (select distinct minute from sealed_minutes), (select unnest(?::integer[]) as span_minutes)
)
anti join catalogue.merged_minutes using (span_minutes, since)
