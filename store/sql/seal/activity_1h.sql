-- In which minutes of which hours the peers of the sealed journal were heard.
insert into {{known}}.activity_1h
select date_trunc('hour', minute), peer_key, bit_or(1::ubigint << date_part('minute', minute)::ubigint)
from {{activity}}
group by all
