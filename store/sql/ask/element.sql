-- Does an edge or a node with this number exist at this grain, and is it called?
select
    count(*) > 0 as is_known,
    coalesce(bool_or(edge_no = $number::ubigint or target_no = $number::ubigint), false) as is_called
from lanes($from_time, $to_time, $grain)
where edge_no = $number::ubigint or source_no = $number::ubigint or target_no = $number::ubigint
