-- Rows per minute and peer of the sealed journal.
insert into {{known}}.activity
select minute, peer_key, sum("rows")::bigint from {{activity}} group by all
