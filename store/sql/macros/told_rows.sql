-- What `edge_facts` counts of access-log rows and spans: the rows of [from_time, to_time), by the key of their lanes.
create or replace macro told_rows(from_time, to_time) as table
select
    peer_key as lane_key, time, status_code, grpc_status, response_flags, tls,
    response_code_details, duration_us, attempts, request_bytes, response_bytes
from observations_raw
where time >= from_time::timestamp and time < to_time::timestamp
union all
select
    peer_key, time, status_code, grpc_status, response_flags, null, null, duration_ns // 1000, null,
    request_bytes, response_bytes
from spans_raw
where time >= from_time::timestamp and time < to_time::timestamp and peer_key is not null;

-- Those of them that lie in no segment yet, so that `edges_1m` has not counted them.
create or replace macro unsealed_rows(from_time, to_time) as table
select
    peer_key as lane_key, time, status_code, grpc_status, response_flags, tls,
    response_code_details, duration_us, attempts, request_bytes, response_bytes
from observations_unsealed
where time >= from_time::timestamp and time < to_time::timestamp
union all
select
    peer_key, time, status_code, grpc_status, response_flags, null, null, duration_ns // 1000, null,
    request_bytes, response_bytes
from spans_unsealed
where time >= from_time::timestamp and time < to_time::timestamp and peer_key is not null;
