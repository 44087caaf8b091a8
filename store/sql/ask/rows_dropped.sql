-- Were rows of the window dropped, or lost?
select exists (
    from dropped_minutes
    where minute >= date_trunc('minute', $from_time::timestamp) and minute < $to_time::timestamp
) as known
