-- One row per request or connection as one proxy saw it, its two ends resolved by the registry. A gateway's
-- row names the gateway as source: it is the one who called. Nothing is counted once here; see `requests`.
create or replace view observations as
select
    seen.time, seen.duration_us, seen.reporter, seen.signal, seen.emitter, seen.protocol, seen.http_version, seen.method,
    seen.authority, seen.path, seen.route, seen.status_code, seen.grpc_status,
    list_filter(string_split(coalesce(seen.response_flags, ''), ','), lambda flag: flag not in ('', '-')) as response_flags,
    seen.response_code_details, seen.upstream_cluster,
    caller.cluster as source_cluster, caller.namespace as source_namespace, caller.workload as source_workload,
    caller.app as source_app, caller.version as source_version, caller.service as source_service,
    caller.pod as source_instance, caller.zone as source_zone, seen.source_address, seen.source_principal,
    callee.cluster as destination_cluster,
    coalesce(callee.namespace, host_namespace(peers.service_host)) as destination_namespace,
    callee.workload as destination_workload, callee.app as destination_app,
    coalesce(callee.version, case when peers.destination_ip is not null or seen.signal = 'span' then peers.subset end)
        as destination_version,
    coalesce(case when seen.reporter <> 'destination' then peers.service_host end, callee.service, peers.service_host)
        as destination_service,
    callee.pod as destination_instance, callee.zone as destination_zone,
    case when seen.reporter = 'destination' then coalesce(seen.downstream_local_address, seen.upstream_address)
        else seen.upstream_address end as destination_address,
    seen.destination_principal,
    seen.request_bytes, seen.response_bytes, seen.attempts, seen.request_id,
    replace(seen.trace_id::varchar, '-', '') as trace_id,
    case when seen.span_id is not null then printf('%016x', seen.span_id) end as span_id,
    seen.tls, seen.user_agent, peers.background, seen.forwarded_for, seen.sni, seen.upstream_local_address, seen.downstream_local_address,
    seen.request_last_rx_us, seen.upstream_first_tx_us, seen.upstream_last_tx_us, seen.upstream_first_rx_us,
    seen.upstream_last_rx_us, seen.downstream_first_tx_us, seen.downstream_last_tx_us, seen.attributes
from observed(timestamp '0001-01-01', timestamp 'infinity') as seen
left join peers on peers.peer_key = seen.peer_key
left join proxy_history as caller
    on caller.emitter = case
        when seen.reporter = 'destination' then '@' || peers.source_ip
        else proxy_name(peers.reporter, peers.emitter, peers.source_ip, peers.destination_ip)
    end
    and date_trunc('minute', seen.time) + interval '59.999999 seconds' >= caller.since
    and date_trunc('minute', seen.time) + interval '59.999999 seconds' < caller.until
left join proxy_history as callee
    on callee.emitter = case
        when seen.reporter = 'destination'
            then proxy_name(peers.reporter, peers.emitter, peers.source_ip, peers.destination_ip)
        else '@' || peers.destination_ip
    end
    and date_trunc('minute', seen.time) + interval '59.999999 seconds' >= callee.since
    and date_trunc('minute', seen.time) + interval '59.999999 seconds' < callee.until;
