-- Peers met for the first time. `counts` is what `peer_counts` answered.
insert into {{peers}}
select * from ({{parts}}) as parts
where peer_key not in (select peer_key from {{peers}})
