-- Who was heard in an hour, a row for each peer.
create or replace temp table activity_of_hour as
select "hour", peer_key, bit_or(minutes) as minutes
from catalogue.activity
where "hour" = $since::timestamp
group by all
