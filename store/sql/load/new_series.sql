-- Series of `rows` met for the first time, each once, taken apart: what its labels say of who called whom, of the
-- answers it counts and of who reported it. A series that cannot make an edge has no `family`: an Envoy cluster
-- that is no `outbound|…` (the proxy's own calls to the control plane and to us are among them), one that nobody
-- is known to have reported, or the doubled count by class of code.
--   emitter     the reporting proxy, by its resource or the labels a scrape adds; '@IP' where only an address is
--   *_end       numbers the two ends (see `metric_ends`)
-- TCP bytes are named from the answering side: what the proxy *received* are the caller's bytes.
with point as (
    select
        series_key, any_value(name) as name, any_value(metric_family(name, type)) as family,
        any_value(points.attributes) as said, any_value(resources.attributes) as resource
    from {{rows}} as points
    left join {{resources}} as resources using (resource_key)
    where series_key is not null and series_key not in (select series_key from {{series}})
    group by series_key
),
reported as (
    select
        *,
        case when contains(name, 'upstream_rq') then 'envoy' else 'istio' end as standard,
        regexp_extract(
            coalesce(label(resource, 'node_id'), label(resource, 'node.id'), label(resource, 'node_name')),
            '^[^~]*~[^~]*~([^~]+)~', 1
        ) as node_name,
        coalesce(
            label(resource, 'k8s.pod.name'), label(said, 'pod'), label(said, 'pod_name'),
            label(said, 'kubernetes_pod_name')
        ) as pod,
        coalesce(
            label(resource, 'k8s.namespace.name'), label(said, 'namespace'), label(said, 'kubernetes_namespace')
        ) as pod_namespace,
        ip_of(coalesce(
            label(resource, 'k8s.pod.ip'), label(resource, 'server.address'), label(resource, 'net.host.name'),
            label(resource, 'service.instance.id'), label(said, 'instance')
        )) as ip
    from point
),
named as (
    select
        *,
        left(case
            when node_name <> '' then node_name
            when pod <> '' and pod_namespace <> '' then pod || '.' || pod_namespace
            when regexp_matches(ip, '^[0-9.]+$|:') and ip not in ('127.0.0.1', '127.0.0.6', '::1') then '@' || ip
        end, 512) as emitter,
        -- What tag extraction cut off a name with dots: 'cluster.default.svc.cluster.local.upstream_rq'.
        rtrim(case
            when coalesce(rest, '') = '' then cluster
            when cluster is null or starts_with(rest, cluster) then rest
            else cluster || '.' || rest
        end, ';') as upstream_cluster
    from (
        select
            *,
            coalesce(known_label(said, 'envoy.cluster_name'), known_label(said, 'envoy_cluster_name')) as cluster,
            case
                when starts_with(name, 'cluster.') then regexp_extract(name, '^cluster\.(.*)\.upstream_rq', 1)
                -- Prometheus wrote '_' for each dot; only a namespace without one can be told again.
                else replace(regexp_extract(name, '^envoy_cluster_([a-z0-9]+_svc_cluster_local)_upstream_rq', 1), '_', '.')
            end as rest
        from reported
    )
),
hosted as (
    select
        *,
        case
            when standard = 'envoy' then nullif(lower(split_part(upstream_cluster, '|', 4)), '')
            when known_label(said, 'destination_service') in (
                'PassthroughCluster', 'BlackHoleCluster', 'InboundPassthroughCluster'
            ) then null
            else lower(split_part(
                coalesce(known_label(said, 'destination_service'), known_label(said, 'destination_service_name')), ':', 1
            ))
        end as host,
        case
            when standard = 'envoy' then case when not starts_with(emitter, '@') and contains(emitter, '.') then split_part(emitter, '.', -1) end
            else known_label(said, 'destination_service_namespace')
        end as host_namespace
    from named
),
parts as (
    select
        series_key,
        case
            when standard = 'istio' then family
            when not starts_with(upstream_cluster, 'outbound|') or emitter is null then null
            when family = 'requests' and label(said, 'envoy.response_code') is null
                and label(said, 'envoy_response_code') is null then null
            else family
        end as family,
        standard, emitter,
        case
            when standard = 'envoy' then 'source'
            else coalesce(known_label(said, 'reporter'), 'source')
        end as reporter,
        case
            when contains(name, 'istio_tcp_') or label(said, 'request_protocol') = 'tcp' then 'tcp'
            when label(said, 'request_protocol') = 'grpc' or label(said, 'grpc_response_status') <> '' then 'grpc'
            else 'http'
        end as protocol,
        known_label(said, 'source_cluster') as source_cluster,
        known_label(said, 'source_workload_namespace') as source_namespace,
        known_label(said, 'source_workload') as source_workload,
        coalesce(known_label(said, 'source_canonical_service'), known_label(said, 'source_app')) as source_app,
        coalesce(
            known_version(known_label(said, 'source_canonical_revision')),
            known_version(known_label(said, 'source_version'))
        ) as source_version,
        known_label(said, 'source_principal') as source_principal,
        known_label(said, 'destination_cluster') as destination_cluster,
        known_label(said, 'destination_workload_namespace') as destination_namespace,
        known_label(said, 'destination_workload') as destination_workload,
        coalesce(known_label(said, 'destination_canonical_service'), known_label(said, 'destination_app'))
            as destination_app,
        coalesce(
            known_version(known_label(said, 'destination_canonical_revision')),
            known_version(known_label(said, 'destination_version'))
        ) as destination_version,
        known_label(said, 'destination_principal') as destination_principal,
        case
            when host is null or contains(host, '.') or host_namespace is null then host
            else host || '.' || host_namespace || '.svc.cluster.local'
        end as service_host,
        case when standard = 'envoy' then nullif(split_part(upstream_cluster, '|', 3), '') end as subset,
        try_cast(coalesce(
            label(said, 'response_code'), label(said, 'envoy.response_code'), label(said, 'envoy_response_code')
        ) as integer) as status_code,
        try_cast(nullif(label(said, 'grpc_response_status'), '') as integer) as grpc_status,
        coalesce(known_label(said, 'response_flags'), '') as response_flags,
        case label(said, 'connection_security_policy') when 'mutual_tls' then 'mutual' when 'none' then 'none' end as tls
    from hosted
)
select
    *,
    case
        when standard = 'envoy' then hash('emitter', emitter)
        else hash(source_cluster, source_namespace, source_workload, source_app, source_version)
    end as source_end,
    case
        when destination_workload is not null then hash(
            destination_cluster, destination_namespace, destination_workload, destination_app, destination_version
        )
        else hash('service', service_host, subset)
    end as target_end
from parts
