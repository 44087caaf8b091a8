-- Observations with the peer each belongs to. Per row only what is cheap: the reported values a peer is
-- made of, and `peer_key`, their hash. `peer_parts` takes them apart, once per new peer.
--   destination_ip  the instance that answered; null when nothing did. On an inbound row the proxy's own
--                   pod address: that instance received the request, whatever came of it.
--   named_host      what names the service where the cluster does not (SNI, route or authority)
select
    *,
    null::varchar as target_kind, null::varchar as target_system, null::varchar as target_name,
    hash(
        signal, reporter, emitter, protocol, source_ip, destination_ip, answered, named_host,
        upstream_cluster, source_principal, background
    ) as peer_key
from (
    select
        *,
        background_of(user_agent, path, upstream_cluster) as background,
        ip_of(source_address) as source_ip,
        case
            when reporter = 'destination' then coalesce(ip_of(downstream_local_address), ip_of(upstream_address))
            when answered then ip_of(upstream_address)
        end as destination_ip,
        case
            when names_host(upstream_cluster) then null
            when reporter = 'destination' then
                case
                    when starts_with(sni, 'outbound_.') then sni
                    when contains(authority, '.svc') or not contains(authority, '.') then authority
                end
            when regexp_matches(route, '^[^/]+:[0-9]+/\*$|^[^/:]+\.svc[^/]*$') then route
            else left(authority, 253)
        end as named_host
    from (
        select
            *,
            was_answered(
                protocol, status_code, response_code_details, response_flags, upstream_address, upstream_cluster
            ) as answered
        from {{rows}}
    )
)
