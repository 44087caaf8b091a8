-- Every observation of a window with each lane it stands for: one row per observation, leg and view. The
-- matching of rows that do not show their caller is the one of `edge_facts`. For lists, not for counting:
-- it reads every column.
create or replace macro lane_rows(from_time, to_time, grain) as table
with every_lane as materialized (
    from lanes(from_time, to_time, grain)
),
loose as materialized (
    select row_number() over () as row_no, *
    from observations_raw
    where time >= from_time::timestamp and time < to_time::timestamp
      and peer_key in (select lane_key from every_lane where unlinked)
),
link as (
    select
        loose.row_no,
        arg_min(calls.peer_key, abs(epoch_us(calls.time) - epoch_us(loose.time))) as caller_key,
        arg_min(epoch_us(calls.time) // 60000000, abs(epoch_us(calls.time) - epoch_us(loose.time))) as caller_minute_no
    from loose
    join observations_raw as calls
        on calls.request_id = loose.request_id and calls.upstream_address = loose.downstream_local_address
    where calls.time >= from_time::timestamp - interval 1 minute and calls.time < to_time::timestamp + interval 1 minute
      and calls.peer_key in (select lane_key from every_lane where leg = 'out' and not linked)
    group by loose.row_no
)
select
    seen.*, lane.leg, lane.view, lane.source_no, lane.target_no, lane.edge_no, lane.source_end, lane.target_end,
    lane.share_service
from counted_rows(from_time, to_time) as seen
join every_lane as lane
    on lane.lane_key = seen.peer_key and lane.minute_no = epoch_us(seen.time) // 60000000
where not lane.unlinked and not lane.linked
union all by name
select
    loose.* exclude (row_no), lane.leg, lane.view, lane.source_no, lane.target_no, lane.edge_no, lane.source_end,
    lane.target_end, lane.share_service
from loose
left join link using (row_no)
join every_lane as lane
    on lane.lane_key = coalesce(link.caller_key, loose.peer_key)
    and lane.minute_no = coalesce(link.caller_minute_no, epoch_us(loose.time) // 60000000)
    and lane.linked = (link.row_no is not null);
