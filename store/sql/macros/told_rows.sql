-- What `edge_facts` counts of access-log rows and spans: those of [from_time, to_time) in the relations of these
-- names (`…_stored`: all; `…_unsealed`: those in no segment yet, that `edges_1m` has not counted), by the key of
-- their lanes. Not `…_raw`: to plan how its maps are made, at each mention, takes longer than a small question.
create or replace macro observed_rows(observed, from_time, to_time) as table
select
    peer_key as lane_key, time, status_code, grpc_status, response_flags, tls,
    response_code_details, duration_us, attempts, request_bytes, response_bytes
from query_table(observed)
where time >= from_time::timestamp and time < to_time::timestamp;

-- Where there are no spans, a reader puts another macro of this name before this one (`ask/no_spans`).
create or replace macro told_rows(observed, traced, from_time, to_time) as table
from observed_rows(observed, from_time, to_time)
union all
select
    peer_key, time, status_code, grpc_status, response_flags, null, null, duration_ns // 1000, null,
    request_bytes, response_bytes
from query_table(traced)
where time >= from_time::timestamp and time < to_time::timestamp and peer_key is not null;
