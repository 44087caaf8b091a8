-- The nodes that the numbers in `legs` stand for, at their finest grain.
create or replace macro ends() as table
select distinct on (who) who as end_no, make_node(
    case when node_type in ('router', 'waypoint') then 'gateway' else 'workload' end,
    cluster, namespace, coalesce(workload, app, pod_workload(pod), service, proxy), app, version, service, coalesce(pod, proxy)
) as node
from proxy_history
union all
-- A proxy the registry does not know: its own name still tells namespace and pod.
select hash('emitter', emitter), max(
    case
        when emitter is null then unknown_node(null)
        when starts_with(emitter, '@') then unknown_node(emitter[2:])
        else make_node(
            case when reporter in ('gateway', 'waypoint') then 'gateway' else 'workload' end, null,
            emitter_namespace(emitter), pod_workload(emitter_pod(emitter)), null, null, null, emitter_pod(emitter)
        )
    end)
from (
    select distinct reporter, proxy_name(reporter, emitter, source_ip, destination_ip) as emitter from peers
)
group by emitter
union all
-- A version that only a subset names: the one workload that answers to it, if there is one.
select hash('subset', service_host, subset), coalesce(max(named.node), max(make_node(
    'workload', null, host_namespace(service_host), null, split_part(service_host, '.', 1), subset, service_host, null
)))
from peers
left join (
    select service, version, max(make_node(
        'workload', cluster, namespace, coalesce(workload, app, service), app, version, service, null
    )) as node
    from proxy_history
    where service is not null and version is not null
    group by service, version
    having count(distinct workload) = 1
) as named on named.service = peers.service_host and named.version = peers.subset
where service_host is not null and subset is not null
group by service_host, subset
union all
select hash('service', service_host), service_node(service_host)
from peers
where service_host is not null
group by service_host
union all
select hash('external', host), make_node('external', null, null, null, null, null, host, null)
from (select distinct coalesce(service_host, destination_ip) as host from peers)
where host is not null
union all
from target_ends()
union all
select hash('unknown'), unknown_node(null);
