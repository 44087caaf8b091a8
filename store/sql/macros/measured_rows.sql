-- What exact percentiles are of: each measurement of a window's rows (in the relations of these names, see `told_rows`) by
-- the key that finds its place, the step and, where `by_minute`, the minute since 1970. Rows that do not show their caller
-- count where `edge_facts` says, too.
-- Upgrades (101) are sessions: no latency.
create or replace macro measured_rows(observed, traced, from_time, to_time, step_us, by_minute) as table
select
    lane_key, step_of(time, from_time, to_time, step_us) as bucket,
    case when by_minute then epoch_us(time) // 60000000 end as minute_no, duration_us
from (
    from told_rows(observed, traced, from_time, to_time)
    union all by name
    select peer_key as lane_key, * exclude (peer_key)
    from (
        select
            peer_key, time, status_code, grpc_status, response_code_details, duration_us, request_bytes, response_bytes
        from span_calls(from_time, to_time)
    )
)
where duration_us is not null and status_code is distinct from 101;
