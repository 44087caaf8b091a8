-- The shorter spans of a span.
select $since::timestamp as since, counts.* exclude (span_minutes, since)
from {{counts}} as counts
where span_minutes = $shorter and counts.since >= $since::timestamp
  and counts.since < $since::timestamp + to_minutes($span_minutes)
