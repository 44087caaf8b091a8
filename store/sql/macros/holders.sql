-- Who was behind a name or an address, by whole minutes [since, until) without any gap: where nobody is known to have
-- been, a row says so by nulls. A minute belongs to who was there when it ended.
create or replace macro proxy_holders() as table
with held as (
    select emitter as name, proxy, service, who, date_trunc('minute', since) as since, date_trunc('minute', until) as until
    from proxy_history
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

create or replace macro address_holders() as table
with held as (
    select address as name, proxy, service, who, date_trunc('minute', since) as since, date_trunc('minute', until) as until
    from address_history
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
