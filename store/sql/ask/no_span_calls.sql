-- The macro of this name for one reader, where no application's span counts (`ask/no_span_links`).
create temp macro span_calls(from_time, to_time) as table
select
    null::ubigint as peer_key, null::timestamp as time, null::integer as status_code, null::integer as grpc_status,
    null::varchar as response_code_details, null::bigint as duration_us, null::bigint as request_bytes,
    null::bigint as response_bytes
where false
