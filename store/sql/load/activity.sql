-- In which minutes of which hours peers were heard, of counts per minute.
insert into {{activity}}
select date_trunc('hour', minute), peer_key, bit_or(1::ubigint << date_part('minute', minute)::ubigint)
from {{counts}}
group by all
