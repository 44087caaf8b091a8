-- Which instance a reporting proxy is: by the name it gives itself ('POD.NAMESPACE'), else, for one that
-- is known only by where its connection came from ('@IP'), by who was at that address.
select
    emitter, emitter as proxy, node_type,
    cluster, namespace, pod, workload, app, version, service, service_account, zone,
    hash(
        'who', emitter, node_type = 'router' or node_type = 'waypoint',
        cluster, namespace, pod, workload, app, version, service
    ) as who,
    case
        when row_number() over lives = 1 then timestamp '0001-01-01' else coalesce(valid_from, timestamp '0001-01-01')
    end as since,
    coalesce(lead(valid_from) over lives, timestamp 'infinity') as until
from {{instances}}
where emitter is not null and not starts_with(emitter, '@')
window lives as (partition by emitter order by valid_from nulls first, address nulls first)
union all
select
    '@' || address, proxy, node_type,
    cluster, namespace, pod, workload, app, version, service, service_account, zone, who, since, until
from {{address_history}}
