-- Who held an address since when, after `told`. A new emitter at an address begins a stint and so ends the
-- former holder's. One that held the address before gets a new stint only after five minutes of silence:
-- pods that share their node's address would otherwise take it from each other with every read.
create or replace table hot.stints as
with said as (
    select address, emitter, min(first_time) as first_time, max(last_time) as last_time
    from told
    where address is not null and emitter is not null
    group by all
),
own as (
    select address, emitter, max(valid_from) as valid_from, arg_max(last_time, valid_from) as last_time
    from hot.stints
    group by all
),
holder as (
    select address, max(valid_from) as valid_from from hot.stints group by all
),
new as (
    select said.address, said.emitter, said.first_time as valid_from, said.last_time
    from said
    left join own using (address, emitter)
    left join holder using (address)
    where own.address is null
        or (
            own.valid_from < holder.valid_from and said.first_time > holder.valid_from
            and said.first_time > own.last_time + interval 5 minutes
        )
)
select
    stints.address, stints.emitter, stints.valid_from,
    case
        when stints.valid_from = own.valid_from and new.address is null
        then greatest(stints.last_time, said.last_time)
        else stints.last_time
    end as last_time
from hot.stints
left join own using (address, emitter)
left join said using (address, emitter)
left join new using (address, emitter)
union all
from new
