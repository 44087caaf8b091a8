-- Spans as the rollup wants them.
(
    select
        "time", peer_key, status_code, grpc_status, response_flags, null::varchar as response_code_details,
        duration_ns // 1000 as duration_us, request_bytes, response_bytes,
        null::integer as attempts, null::varchar as tls
    from {{rows}}
    -- An application's span is no edge without its other half, which may come later.
    where peer_key is not null and is_proxy
)
