-- Counts that can be made again: those of minutes whose rows are all kept.
delete from catalogue.edges_1m
where minute >= date_trunc('minute', $earliest::timestamp) and minute <= $latest::timestamp
  and minute not in (from catalogue.dropped_minutes)
