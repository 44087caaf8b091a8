-- What is sealed, per table: files, rows, bytes, and from when to when its rows tell.
select table_name, count(*), sum(row_count)::bigint, sum(byte_count)::bigint, min(min_time), max(max_time)
from catalogue.segments
group by table_name
