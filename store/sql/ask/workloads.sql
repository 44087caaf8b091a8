-- The registry by workload and version.
select
    coalesce(cluster, '') as cluster, namespace, coalesce(workload, app, service, pod) as workload, app, version, service,
    node_type, count(distinct coalesce(pod, address)) as instances, epoch_us(min(valid_from)) as first_us
from instances
group by all
order by namespace, workload, version
