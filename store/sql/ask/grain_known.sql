-- Does an edge or a node with this number exist at this grain?
select count(*) > 0 as known
from (
    select edge_no, source_no, target_no from lanes($from_time, $to_time, $grain)
    union all
    select edge_no, source_no, target_no from metric_lanes($from_time, $to_time, $grain)
)
where edge_no = $number::ubigint or source_no = $number::ubigint or target_no = $number::ubigint
