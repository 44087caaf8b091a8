-- The shorter spans of a span.
select $since::timestamp as since, * exclude (span_minutes, since)
from catalogue.edges_merged
where span_minutes = $shorter and edges_merged.since >= $since::timestamp
  and edges_merged.since < $since::timestamp + to_minutes($span_minutes)
