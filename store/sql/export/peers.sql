-- The peers that the rollup's rows of [start, end) name.
select * from peers
where peer_key in (select peer_key from edges_1m where minute >= timestamp {{start}} and minute < timestamp {{end}})
