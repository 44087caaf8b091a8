-- The macros of these names for one reader, where every row shows its caller: nothing is claimed.
create temp macro may_be_loose() as false;
create temp macro claims(loose, calling, from_time, to_time) as table
select
    null::ubigint as peer_key, null::timestamp as time, null::varchar as request_id,
    null::varchar as downstream_local_address, null::ubigint as caller_key, null::bigint as caller_minute_no
where false;
create temp macro found_rows(told, meaning, from_time, to_time, step_us) as table
select
    null::ubigint as lane_key, null::bigint as minute_no, false as linked, null::bigint as bucket, null::integer as status_code,
    null::integer as grpc_status, null::varchar as response_flags, null::varchar as tls, null::varchar as details,
    null::bigint as duration_us, null::integer as attempts, null::bigint as request_bytes, null::bigint as response_bytes
where false;
create temp macro loose_lanes(told, asked) as table
select
    null::ubigint as lane_key, false as linked, null::bigint as minute_no, null::varchar as leg, null::varchar as view,
    null::varchar as signal, null::varchar as protocol, null::ubigint as source_no, null::ubigint as target_no,
    null::ubigint as edge_no, null::varchar as share_service
where false
