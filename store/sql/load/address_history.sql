-- Who was at an address, without gaps between holders: [since, until). The first holder known also owns
-- what came before it was known, so late knowledge repairs early edges; an address that is reused
-- belongs to whoever held it last at the asked moment. `who` numbers the identity (see `ends`).
select
    address, coalesce(emitter, '@' || address) as proxy, node_type,
    cluster, namespace, pod, workload, app, version, service, service_account, zone,
    hash(
        'who', coalesce(emitter, '@' || address), node_type = 'router' or node_type = 'waypoint',
        cluster, namespace, pod, workload, app, version, service
    ) as who,
    case
        when row_number() over holders = 1 then timestamp '0001-01-01' else coalesce(valid_from, timestamp '0001-01-01')
    end as since,
    least(
        coalesce(valid_to, timestamp 'infinity'),
        coalesce(lead(valid_from) over holders, timestamp 'infinity')
    ) as until
from {{instances}}
where address is not null
window holders as (partition by address order by valid_from nulls first, emitter nulls first, workload nulls first)
