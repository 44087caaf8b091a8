-- What `span_links` and `span_calls` answer where no application's span counts.
create temp table span_links_kept (
    trace_id uuid, span_id ubigint, peer_key ubigint, "minute" timestamp, protocol varchar, reporter varchar,
    source ubigint, target ubigint, share_service varchar, lane_key ubigint, is_told boolean
);
create temp macro span_calls(from_time, to_time) as table
select
    null::ubigint as peer_key, null::timestamp as time, null::integer as status_code, null::integer as grpc_status,
    null::varchar as response_code_details, null::bigint as duration_us, null::bigint as request_bytes,
    null::bigint as response_bytes
where false
