-- Sealed minutes that belong to merged spans of a length.
select time_bucket(to_minutes($span_minutes), minute) as since, sealed_minutes.* exclude (minute)
from sealed_minutes
where time_bucket(to_minutes($span_minutes), minute) in (
    select since from catalogue.merged_minutes where is_merged and span_minutes = $span_minutes
)
