-- Facts after `told`: of each field the latest value that kind of evidence gave for that emitter and address.
create or replace table hot.identity_facts as
select
    emitter, address, evidence, min(first_time) as first_time, max(last_time) as last_time,
    arg_max(node_type, last_time) as node_type, arg_max(cluster, last_time) as cluster,
    arg_max(namespace, last_time) as namespace, arg_max(pod, last_time) as pod,
    arg_max(workload, last_time) as workload, arg_max(app, last_time) as app,
    arg_max(version, last_time) as version, arg_max(service, last_time) as service,
    arg_max(service_account, last_time) as service_account, arg_max(zone, last_time) as zone
from (from hot.identity_facts union all by name from told)
group by emitter, address, evidence
