-- The first span that ended before $before and is not merged: of the shortest first.
select span_minutes, since
from catalogue.merged_minutes
where not is_merged and since + to_minutes(span_minutes) <= $before::timestamp
order by span_minutes, since
limit 1
