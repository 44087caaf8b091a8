-- Every node that may stand at the end of an edge, at a grain: its number in `lanes`, its id, its names.
create or replace macro nodes_at(grain) as table
select md5_number_upper(parts) as node_no, left(md5(parts), 16) as id, any_value(node) as node
from (
    select node, node_parts(node) as parts from (select node_at(node, grain) as node from ends())
)
group by parts;
