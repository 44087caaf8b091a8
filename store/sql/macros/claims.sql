-- Invariant 5c. Inbound rows that do not show their direct caller (relation `loose`) with the caller's own row that they
-- are the called side of: the nearest in time of those with the same request id that were sent to the row's address by
-- a lane of relation `calling`. Its minute is the nearest of that lane's, where the two clocks differ.
create or replace macro claims(loose, calling, from_time, to_time) as table
with claimed as (
    select
        hidden.peer_key, hidden.time, hidden.request_id, hidden.downstream_local_address,
        min(row(abs(epoch_us(calls.time) - epoch_us(hidden.time)), calls.peer_key, epoch_us(calls.time) // 60000000))
            as nearest,
        nearest[2] as caller_key, nearest[3] as caller_minute_no
    from query_table(loose) as hidden
    join observations_stored as calls
        on calls.request_id = hidden.request_id and calls.upstream_address = hidden.downstream_local_address
    where may_be_loose()
      and calls.time >= from_time::timestamp - to_minutes(clocks_differ())
      and calls.time < to_time::timestamp + to_minutes(clocks_differ())
      and calls.peer_key in (select lane_key from query_table(calling) where leg = 'out' and not linked)
    group by all
)
select
    peer_key, time, request_id, downstream_local_address, caller_key,
    greatest(least(caller_minute_no, last_no), first_no) as caller_minute_no
from claimed
join (
    select lane_key as caller_key, min(minute_no) as first_no, max(minute_no) as last_no
    from query_table(calling)
    where leg = 'out' and not linked
    group by lane_key
) using (caller_key);
