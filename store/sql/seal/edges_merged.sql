-- Counts of shorter parts as those of spans.
insert into catalogue.edges_merged
with part as materialized (
    {{parts}}
),
bucket as (
    select
        since, peer_key, status_code, grpc_status, response_flags, details_class, tls,
        map_from_entries(list(struct_pack(key := latency_bucket, value := n))) as latency
    from (
        select
            since, peer_key, status_code, grpc_status, response_flags, details_class, tls, latency_bucket,
            sum(n)::ubigint as n
        from (
            select
                since, peer_key, status_code, grpc_status, response_flags, details_class, tls,
                unnest(map_keys(latency)) as latency_bucket, unnest(map_values(latency)) as n
            from part
        )
        group by all
    )
    group by all
)
select
    $span_minutes, total.* exclude (request_bytes, response_bytes, attempts, attempts_rows), latency,
    request_bytes, response_bytes, attempts, attempts_rows
from (
    select
        since, peer_key, status_code, grpc_status, response_flags, details_class, tls, sum("rows")::bigint as "rows",
        saturated(sum(duration_us_sum)) as duration_us_sum, sum(duration_rows)::bigint as duration_rows,
        saturated(sum(request_bytes)) as request_bytes, saturated(sum(response_bytes)) as response_bytes,
        sum(attempts)::bigint as attempts, sum(attempts_rows)::bigint as attempts_rows
    from part
    group by all
) as total
left join bucket
    on bucket.since = total.since and bucket.peer_key = total.peer_key
    and bucket.status_code is not distinct from total.status_code
    and bucket.grpc_status is not distinct from total.grpc_status
    and bucket.response_flags is not distinct from total.response_flags
    and bucket.details_class is not distinct from total.details_class
    and bucket.tls is not distinct from total.tls
order by total.since, total.peer_key
