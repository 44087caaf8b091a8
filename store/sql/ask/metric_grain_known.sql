-- Does an edge or a node with this number exist at this grain in metrics?
select count(*) > 0 as known
from metric_lanes($from_time, $to_time, $grain)
where edge_no = $number::ubigint or source_no = $number::ubigint or target_no = $number::ubigint
