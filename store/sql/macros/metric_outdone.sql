-- Spans that metrics outdo, by proxy, minute and leg (see `legs`; `callee` null: towards everybody): those of a
-- proxy that reports by metrics itself, and outbound ones towards a service that reports this caller by metrics.
-- A minute counts with its neighbours: a point tells of the time since the one before.
create or replace macro metric_outdone(from_time, to_time) as table
with voice as materialized (
    from metric_voices(from_time::timestamp - interval 2 minutes, to_time::timestamp + interval 2 minutes)
),
named as materialized (
    select distinct proxy, namespace, coalesce(workload, app, pod_workload(pod)) as workload
    from proxy_history
),
outdone as (
    select proxy, minute, side as leg, null::varchar as callee from voice where proxy is not null
    union all
    select named.proxy, minute, side, null
    from voice
    join named on named.namespace = own_namespace and named.workload = own_workload
    where voice.proxy is null
    union all
    select named.proxy, minute, 'out', service_host
    from voice
    join named on named.namespace = peer_namespace and named.workload = peer_workload
    where side = 'in' and service_host is not null
)
select distinct proxy, minute + to_minutes(step) as minute, leg, callee
from outdone, (values (-1), (0), (1)) as nearby(step);
