-- The minutes of a span.
select $since::timestamp as since, * exclude (minute)
from {{counts}}
where minute >= $since::timestamp and minute < $since::timestamp + to_minutes($span_minutes)
