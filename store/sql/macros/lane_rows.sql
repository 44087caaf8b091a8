-- Every observation of a window with each lane it stands for: one row per observation, leg and view. The
-- matching of rows that do not show their caller is the one of `edge_facts`. For lists, not for counting.
-- Only the columns that are asked for are read.
create or replace macro lane_rows(from_time, to_time, grain) as table
with lane as materialized (
    from lanes(from_time, to_time, grain)
),
loose as materialized (
    select peer_key, time, request_id, downstream_local_address
    from observations_raw
    where may_be_loose() and time >= from_time::timestamp and time < to_time::timestamp
      and peer_key in (select lane_key from lane where unlinked)
),
claimed as (
    select
        loose.peer_key, loose.time, loose.request_id, loose.downstream_local_address,
        min(row(abs(epoch_us(calls.time) - epoch_us(loose.time)), calls.peer_key, epoch_us(calls.time) // 60000000))
            as nearest, nearest[2] as caller_key, nearest[3] as caller_minute_no
    from loose
    join observations_raw as calls
        on calls.request_id = loose.request_id and calls.upstream_address = loose.downstream_local_address
    where may_be_loose()
      and calls.time >= from_time::timestamp - interval 1 minute and calls.time < to_time::timestamp + interval 1 minute
      and calls.peer_key in (select lane_key from lane where leg = 'out' and not linked)
    group by all
)
select
    seen.*, lane.leg, lane.view, lane.source_no, lane.target_no, lane.edge_no, lane.source_end, lane.target_end,
    lane.share_service
from counted_rows(from_time, to_time) as seen
join lane on lane.lane_key = seen.peer_key and lane.minute_no = epoch_us(seen.time) // 60000000
where not lane.unlinked and not lane.linked
union all by name
select
    loose.*, lane.leg, lane.view, lane.source_no, lane.target_no, lane.edge_no, lane.source_end,
    lane.target_end, lane.share_service
from (
    select * from observations_raw
    where may_be_loose() and time >= from_time::timestamp and time < to_time::timestamp
      and peer_key in (select lane_key from lane where unlinked)
) as loose
left join claimed using (peer_key, time, request_id, downstream_local_address)
join lane
    on lane.lane_key = coalesce(claimed.caller_key, loose.peer_key)
    and lane.minute_no = coalesce(claimed.caller_minute_no, epoch_us(loose.time) // 60000000)
    and lane.linked = (claimed.caller_key is not null)
where lane.linked or lane.unlinked;
