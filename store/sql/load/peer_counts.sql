-- Rows per minute and peer.
select date_trunc('minute', "time") as minute, peer_key, count(*) as "rows"
from {{rows}}
where peer_key is not null
group by all
