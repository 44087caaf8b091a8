-- The same as element.sql for what metrics tell.
select
    count(*) > 0 as is_known,
    coalesce(bool_or(edge_no = $number::ubigint or target_no = $number::ubigint), false) as is_called
from metric_lanes($from_time, $to_time, $grain)
where edge_no = $number::ubigint or source_no = $number::ubigint or target_no = $number::ubigint
