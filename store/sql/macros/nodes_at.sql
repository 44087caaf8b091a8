-- Every node that may stand at the end of an edge, at a grain: its number in `lanes`, its id, its names. What
-- is merely known about a node (its app, its service) need not be known of each of its ends.
create or replace macro nodes_at(grain) as table
select md5_number_upper(parts) as node_no, left(md5(parts), 16) as id, make_node(
    any_value(node.kind), max(node.cluster), max(node.namespace), max(node.workload), max(node.app), max(node.version),
    max(node.service), max(node.instance)
) as node
from (
    select node, node_parts(node) as parts from (select node_at(node, grain) as node from ends())
)
group by parts;
