-- Peers met for the first time, each once. `parts` is what `peer_parts` answered.
insert into {{peers}}
select * from ({{parts}}) as parts
where peer_key not in (select peer_key from {{peers}})
