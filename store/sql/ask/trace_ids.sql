-- The traces that spans of a segment belong to, each once, as 16 bytes.
select unhex(replace(trace_id::varchar, '-', '')) as trace_id
from (select distinct trace_id from {{rows}})
where trace_id is not null
