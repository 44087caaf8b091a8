-- The lengths of merged spans that the sealed minutes come too late for.
select distinct span_minutes
from catalogue.merged_minutes, (select distinct minute from sealed_minutes)
where is_merged and minute >= since and minute < since + to_minutes(span_minutes)
order by span_minutes
