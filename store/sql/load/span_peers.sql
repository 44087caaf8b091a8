-- Spans with the peer each belongs to, null for those that are no observation.
-- Of proxies (signal 'span') every listener span; not a gateway's router span (a client span without method
-- and URL; the listener's span is the request). A span shows no upstream address, so the version that answered
-- is known by the cluster's subset only.
-- Of applications (signal 'app_span') every client and producer span ('source') and every server and consumer
-- span ('destination'). A client that receives from a queue is a consumer; settling a message is no call.
-- Calls of databases and queues are 'tcp', whatever carries them.
select
    *,
    case when is_request then hash(
        signal, reporter, emitter, protocol, source_ip, destination_ip, answered, named_host, upstream_cluster,
        target_kind, target_system, target_name, background
    ) end as peer_key
from (
    select
        *,
        case
            when target_kind is not null then 'tcp'
            when coalesce(target_system = 'grpc', grpc_status is not null) then 'grpc'
            when signal = 'span' or coalesce(method, url) is not null or status_code is not null then 'http'
            else 'tcp'
        end as protocol,
        null::varchar as source_principal,
        background_of(
            user_agent,
            -- The expression is dear, and of all paths only those of telemetry's services matter.
            case
                when contains(url, '/opentelemetry.proto.') or contains(url, '/envoy.service.')
                    then nullif(regexp_extract(url, '^(?:[a-z]+://[^/?#]+)?(/.*)$', 1), '')
            end,
            upstream_cluster
        ) as background,
        case
            when signal = 'span' or (reporter = 'destination' and target_kind is null) then ip_of(peer_address)
        end as source_ip,
        case
            when signal = 'span' then case when answered then ip_of(upstream_address) end
            when reporter = 'destination' then null
            when regexp_matches(target_address, '^[0-9.]+(:[0-9]+)?$|^\[') then ip_of(target_address)
            else ip_of(peer_address)
        end as destination_ip,
        case
            when names_host(upstream_cluster) or reporter = 'destination' then null
            else coalesce(target_address, left(regexp_extract(url, '^[a-z]+://([^/?#]+)', 1), 253))
        end as named_host
    from (
        select
            *,
            case when is_proxy then 'span' else 'app_span' end as signal,
            case
                when is_proxy then kind = 'server' or method is not null or url is not null
                else
                    kind in ('client', 'producer', 'server', 'consumer') and emitter is not null
                    and target_operation is distinct from 'settle'
            end as is_request,
            case
                when is_proxy then
                    case
                        when starts_with(upstream_cluster, 'inbound|') then 'destination'
                        when starts_with(upstream_cluster, 'inbound-vip|') then 'waypoint'
                        when kind = 'server' then 'gateway'
                        else 'source'
                    end
                when kind in ('server', 'consumer') then 'destination'
                when target_kind = 'queue' and target_operation in ('receive', 'process', 'deliver') then 'destination'
                else 'source'
            end as reporter,
            was_answered(
                'http', status_code, null::varchar, response_flags, upstream_address, upstream_cluster
            ) as answered
        from {{rows}}
    )
)
