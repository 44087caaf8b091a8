-- The rows of those minutes.
(
    from {{rows}}
    where "time" >= date_trunc('minute', $earliest::timestamp) and date_trunc('minute', "time") <= $latest::timestamp
      and date_trunc('minute', "time") not in (from catalogue.dropped_minutes)
)
