-- Spans with the peer each belongs to, null for those that are no observation: application spans, and a
-- gateway's router span (a client span without method and URL; the listener's span is the request).
-- A span shows no upstream address, so the version that answered is known by the cluster's subset only.
select
    *,
    case when is_request then hash(
        'span', reporter, emitter, protocol, source_ip, destination_ip, answered, named_host, upstream_cluster
    ) end as peer_key
from (
    select
        *,
        'span' as signal,
        case when grpc_status is null then 'http' else 'grpc' end as protocol,
        ip_of(peer_address) as source_ip,
        null::varchar as source_principal,
        case when answered then ip_of(upstream_address) end as destination_ip,
        case
            when names_host(upstream_cluster) then null
            when reporter = 'destination' then null
            else left(regexp_extract(url, '^[a-z]+://([^/?#]+)', 1), 253)
        end as named_host
    from (
        select
            *,
            coalesce(is_proxy, false) and (kind = 'server' or method is not null or url is not null) as is_request,
            case
                when starts_with(upstream_cluster, 'inbound|') then 'destination'
                when starts_with(upstream_cluster, 'inbound-vip|') then 'waypoint'
                when kind = 'server' then 'gateway'
                else 'source'
            end as reporter,
            was_answered(
                'http', status_code, null::varchar, response_flags, upstream_address, upstream_cluster
            ) as answered
        from {{rows}}
    )
)
