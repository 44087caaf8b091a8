-- The registry: who was at which address, from when until when (null: still), and how that is known.
create or replace view workloads as
select
    cluster, namespace, coalesce(workload, app, service, pod) as workload, app, version, service, pod as instance,
    address, emitter, service_account, zone, node_type, valid_from, valid_to, evidence
from instances;
