-- The macro of this name for one reader: from what was kept, instead of looking for every other half again.
create temp macro span_links(from_time, to_time) as table
select * from span_links_kept
where minute >= date_trunc('minute', from_time::timestamp) and minute < to_time::timestamp
