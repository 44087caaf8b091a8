-- Each request (TCP: connection) once, as its caller got it: the client view of the graph. A gateway's row is
-- two requests, the one it received and the one it made. Without probes, scrapes and exports (`background`), unless
-- asked: set variable show_background = true. `outcome` is 'ok' | 'error' | 'client_gone' | 'unknown'.
create or replace view requests as
select
    seen.time, seen.duration_us, seen.reporter, seen.signal, seen.emitter, seen.protocol, seen.http_version, seen.method,
    seen.authority, seen.path, seen.route, seen.status_code, seen.grpc_status,
    list_filter(string_split(coalesce(seen.response_flags, ''), ','), lambda flag: flag not in ('', '-')) as response_flags,
    seen.response_code_details,
    outcome(seen.protocol, seen.status_code, seen.grpc_status, seen.response_flags, seen.response_code_details, '5xx')
        as outcome,
    caller.node.cluster as source_cluster, caller.node.namespace as source_namespace,
    caller.node.workload as source_workload, caller.node.app as source_app, caller.node.version as source_version,
    caller.node.service as source_service, caller.node.instance as source_instance, seen.source_address,
    seen.source_principal,
    callee.node.cluster as destination_cluster, callee.node.namespace as destination_namespace,
    callee.node.workload as destination_workload, callee.node.app as destination_app,
    callee.node.version as destination_version,
    coalesce(seen.share_service, callee.node.service) as destination_service,
    callee.node.instance as destination_instance,
    case when seen.leg = 'out' then seen.upstream_address else seen.downstream_local_address end as destination_address,
    seen.destination_principal,
    seen.request_bytes, seen.response_bytes, seen.attempts, seen.request_id,
    replace(seen.trace_id::varchar, '-', '') as trace_id,
    case when seen.span_id is not null then printf('%016x', seen.span_id) end as span_id,
    seen.tls, seen.user_agent, background_of(seen.user_agent, seen.path, seen.upstream_cluster) as background,
    seen.attributes
from lane_rows(timestamp '1970-01-01', timestamp '2262-04-12', 'version') as seen
left join ends() as caller on caller.end_no = seen.source_end
left join ends() as callee on callee.end_no = seen.target_end
where seen.view = 'client';
