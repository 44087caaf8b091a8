-- The graph as a table: one row per edge between workload versions, with the numbers `/api/graph` gives.
-- `requests` and what follows it up to `response_bytes` are the client view (each request once);
-- `server_*` is what the called side received, attempts included. TCP: requests are connections.
create or replace macro edges(from_time, to_time) as table
with facts as materialized (
    from edge_facts(
        from_time, to_time, 'version',
        greatest(epoch_us(to_time::timestamp) - epoch_us(from_time::timestamp), 1), null::ubigint
    )
),
metric as materialized (
    from metric_facts(
        from_time, to_time, 'version',
        greatest(epoch_us(to_time::timestamp) - epoch_us(from_time::timestamp), 1), null::ubigint
    )
),
judged as (
    select *, outcome(protocol, status_code, grpc_status, response_flags, details, '5xx') as outcome
    from (
        from facts where fact = 'count'
        union all by name
        from metric where fact = 'count'
    )
),
summed as (
    select
        edge_no, source_no, target_no, protocol,
        coalesce(sum(requests) filter (view = 'client'), 0)::bigint as requests,
        coalesce(sum(requests) filter (view = 'client' and outcome = 'error'), 0)::bigint as errors,
        coalesce(sum(requests) filter (view = 'client' and outcome = 'client_gone'), 0)::bigint as client_gone,
        coalesce(sum(requests) filter (view = 'client' and outcome = 'unknown'), 0)::bigint as unknown,
        sum(attempts) filter (view = 'client')::bigint as attempts,
        saturated(sum(request_bytes) filter (view = 'client')) as request_bytes,
        saturated(sum(response_bytes) filter (view = 'client')) as response_bytes,
        coalesce(sum(requests) filter (view = 'server'), 0)::bigint as server_requests,
        coalesce(sum(requests) filter (view = 'server' and outcome = 'error'), 0)::bigint as server_errors
    from judged
    group by all
),
timed as (
    select
        edge_no,
        -- The caller's own rows, where there are any.
        coalesce(
            first(quantiles_us order by told_last) filter (view = 'client' and leg = 'out'),
            first(quantiles_us order by told_last) filter (view = 'client')
        ) as client_us,
        first(quantiles_us order by told_last) filter (view = 'server') as server_us
    from (
        select *, false as told_last
        from place_percentiles(
            'facts', from_time, to_time, greatest(epoch_us(to_time::timestamp) - epoch_us(from_time::timestamp), 1)
        )
        union all
        select edge_no, view, leg, quantiles_us, true from metric where fact = 'latency'
    )
    group by edge_no
),
node as materialized (
    from nodes_at('version')
    union all
    from metric_nodes_at('version') where node_no not in (select node_no from nodes_at('version'))
)
select
    left(md5(concat_ws('|', caller.id, callee.id, protocol)), 16) as id, caller.id as source, callee.id as target, protocol,
    caller.node.kind as source_kind, caller.node.namespace as source_namespace,
    caller.node.workload as source_workload, caller.node.version as source_version,
    callee.node.kind as destination_kind, callee.node.namespace as destination_namespace,
    callee.node.workload as destination_workload, callee.node.version as destination_version,
    callee.node.service as destination_service,
    requests, errors, client_gone, unknown,
    1 - errors / nullif(requests - client_gone - unknown, 0) as success_rate,
    client_us[1] / 1000 as p50_ms, client_us[2] / 1000 as p90_ms, client_us[3] / 1000 as p95_ms,
    client_us[4] / 1000 as p99_ms,
    attempts, request_bytes, response_bytes,
    server_requests, server_errors,
    server_us[1] / 1000 as server_p50_ms, server_us[3] / 1000 as server_p95_ms, server_us[4] / 1000 as server_p99_ms
from summed
left join timed using (edge_no)
join node as caller on caller.node_no = source_no
join node as callee on callee.node_no = target_no
order by source_namespace, source_workload, source_version, destination_namespace, destination_service,
    destination_workload, destination_version, protocol;
