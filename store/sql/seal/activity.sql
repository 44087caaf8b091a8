-- In which minutes of which hours the peers of the sealed journal were heard.
insert into {{known}}.activity
select "hour", peer_key, bit_or(minutes) from {{activity}} group by all
