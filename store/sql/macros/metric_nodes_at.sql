-- The same as `nodes_at` for the ends of counted series.
create or replace macro metric_nodes_at(grain) as table
select md5_number_upper(parts) as node_no, left(md5(parts), 16) as id, make_node(
    any_value(node.kind), max(node.cluster), max(node.namespace), max(node.workload), max(node.app), max(node.version),
    max(node.service), max(node.instance)
) as node
from (
    select node, node_parts(node) as parts from (select node_at(node, grain) as node from metric_ends())
)
group by parts;
