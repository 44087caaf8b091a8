-- Names of the nodes with these numbers that only metrics know.
select id, unnest(node) from metric_nodes_at($grain) where node_no in (select unnest($numbers::ubigint[]))
