-- Who was behind a name, by whole minutes [since, until) without any gap: where nobody is known to have been, a row says
-- so by nulls. A minute belongs to who was there when it ended. Of a relation with (name, proxy, service, who, since,
-- until).
create or replace macro holders(known) as table
with held as (
    select * replace (date_trunc('minute', since) as since, date_trunc('minute', until) as until) from query_table(known)
)
from held
union all by name
select name, until as since, next as until from (
    select
        name, max(until) over (partition by name order by since, until) as until,
        lead(since, 1, timestamp 'infinity') over (partition by name order by since, until) as next
    from held
)
where until < next;
