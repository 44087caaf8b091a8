-- Does an edge or a node with this number exist at this grain?
select count(*) > 0 as known
from lanes($from_time, $to_time, $grain)
where edge_no = $number::ubigint or source_no = $number::ubigint or target_no = $number::ubigint
