-- Rows that do not show their direct caller (see `claims`), each with the caller's key and minute where its own row was
-- found (`linked`); what no caller's row claims stays `unknown`'s. Of relations `told` and `meaning` of `edge_facts`. Where no
-- proxy sends such rows, a reader puts other macros of these names before these (`ask/none_loose`).
create or replace macro found_rows(told, meaning, from_time, to_time, step_us) as table
with loose as materialized (
    select
        peer_key, time, request_id, downstream_local_address, status_code, grpc_status, response_flags, tls,
        case when status_code is null then response_code_details end as details,
        duration_us, attempts, request_bytes, response_bytes
    from observations_stored
    where time >= from_time::timestamp and time < to_time::timestamp
      and peer_key in (select lane_key from query_table(meaning) where unlinked)
),
calling as materialized (
    select peer_key as lane_key, leg, false as linked, epoch_us("hour") // 60000000 + minute as minute_no
    from query_table(told), (select unnest(range(60)) as minute)
    where leg = 'out' and (minutes >> minute::ubigint) & 1 = 1
),
claimed as (
    from claims('loose', 'calling', from_time, to_time)
)
select
    coalesce(claimed.caller_key, loose.peer_key) as lane_key,
    coalesce(claimed.caller_minute_no, epoch_us(loose.time) // 60000000) as minute_no,
    claimed.caller_key is not null as linked,
    step_of(loose.time, from_time, to_time, step_us) as bucket,
    status_code, grpc_status, response_flags, tls, details, duration_us, attempts, request_bytes, response_bytes
from loose left join claimed using (peer_key, time, request_id, downstream_local_address);

-- Where these count. Of a gateway's row only the leg towards it is loose: what it called is known, and counted with all others.
create or replace macro loose_lanes(told, asked) as table
select
    asked.lane_key, linked, epoch_us(told.hour) // 60000000 + minute as minute_no,
    case when linked then 'in' else asked.leg end as leg, case when linked then 'server' else asked.view end as view,
    asked.signal, asked.protocol, source_no, target_no, edge_no, asked.share_service
from query_table(told) as told
join query_table(asked) as asked
    on asked.lane_key = told.peer_key and asked.leg = told.leg and asked.view = told.view
    and asked.source = told.source and asked.target = told.target and asked.unlinked = told.unlinked
    and asked.share_service is not distinct from told.share_service,
    (select unnest(range(60)) as minute), (values (true), (false)) as ways(linked)
where (told.minutes >> minute::ubigint) & 1 = 1 and case when linked then told.leg = 'out' else told.unlinked end;
