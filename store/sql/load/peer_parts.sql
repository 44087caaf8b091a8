-- Reported values (as `observation_peers` and `span_peers` give them) → rows of `peers`.
-- The service's host: by cluster, else SNI, route or authority; a bare host belongs to the reporter's
-- namespace (a caller's proxy resolves it there, and a called one was found by it there).
select
    peer_key, signal, reporter, emitter, source_ip, destination_ip,
    case
        when host is null or host = '' then null
        when namespace is null then host
        when not contains(host, '.') and not contains(host, ':') then host || '.' || namespace || '.svc.cluster.local'
        when host = split_part(host, '.', 1) || '.' || namespace then host || '.svc.cluster.local'
        when ends_with(host, '.svc') then host || '.cluster.local'
        else host
    end as service_host,
    try_cast(nullif(port, '') as integer) as service_port,
    case when signal <> 'span' or answered then nullif(named_subset, '') end as subset,
    protocol, source_principal, upstream_cluster, target_kind, target_system, target_name, background
from (
    select
        *,
        case
            -- An application without a pod ('NAME/INSTANCE.NAMESPACE') need not call within Kubernetes.
            when starts_with(emitter, '@') or contains(emitter, '/') then null
            when contains(emitter, '.') then nullif(split_part(emitter, '.', -1), '')
        end as namespace,
        case
            when names_host(upstream_cluster) then lower(split_part(upstream_cluster, '|', 4))
            when starts_with(named_host, 'outbound_.') then lower(split_part(named_host, '_.', 4))
            when starts_with(named_host, '[') then split_part(named_host[2:], ']', 1)
            when named_host is not null then lower(split_part(split_part(named_host, '/', 1), ':', 1))
            when reporter = 'destination' then null
            when upstream_cluster in ('PassthroughCluster', 'BlackHoleCluster', 'InboundPassthroughCluster') then null
            when contains(upstream_cluster, '|') then null
            else upstream_cluster
        end as host,
        case
            when contains(upstream_cluster, '|') then split_part(upstream_cluster, '|', 2)
            when starts_with(named_host, 'outbound_.') then split_part(named_host, '_.', 2)
            when named_host is not null then regexp_extract(named_host, ':([0-9]+)(/.*)?$', 1)
        end as port,
        case
            when starts_with(upstream_cluster, 'outbound|') then split_part(upstream_cluster, '|', 3)
            when starts_with(named_host, 'outbound_.') then split_part(named_host, '_.', 3)
        end as named_subset
    from {{inputs}}
)
