-- Hours in [$since, $until), a row for each peer.
insert into catalogue.activity_1h
select date_trunc('hour', minute), peer_key, bit_or(1::ubigint << date_part('minute', minute)::ubigint)
from catalogue.activity
where minute >= $since::timestamp and minute < $until::timestamp
group by all
