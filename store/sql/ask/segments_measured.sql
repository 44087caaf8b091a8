-- Segments with rows of a window that are counted, and whether all their rows lie in it.
select table_name, path, coalesce(min_time >= $from_time::timestamp and max_time < $to_time::timestamp, false) as is_whole
from catalogue.segments
where table_name in ('observations', 'spans')
  and (min_time is null or min_time < $to_time::timestamp) and (max_time is null or max_time >= $from_time::timestamp)
