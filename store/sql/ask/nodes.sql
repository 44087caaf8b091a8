-- Names of the nodes with these numbers.
select id, unnest(node) from nodes_at($grain) where node_no in (select unnest($numbers::ubigint[]))
