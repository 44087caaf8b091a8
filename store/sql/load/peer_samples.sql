-- The reported values behind each key, once (all rows of a key have the same).
select
    peer_key,
    any_value(signal) as signal, any_value(reporter) as reporter, any_value(emitter) as emitter,
    any_value(protocol) as protocol, any_value(source_ip) as source_ip,
    any_value(destination_ip) as destination_ip, any_value(answered) as answered,
    any_value(named_host) as named_host, any_value(upstream_cluster) as upstream_cluster,
    any_value(source_principal) as source_principal, any_value(target_kind) as target_kind,
    any_value(target_system) as target_system, any_value(target_name) as target_name,
    any_value(background) as background
from ({{keyed}})
where peer_key is not null
group by peer_key
