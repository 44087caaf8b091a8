-- How many of the `told` rows say something new: an unknown one, another value, a holder that returns,
-- or simply that a minute has passed (so that `last_time` stays true without a write per read).
select count(*)
from told
left join hot.identity_facts as known
    on known.emitter is not distinct from told.emitter
    and known.address is not distinct from told.address
    and known.evidence = told.evidence
where known.evidence is null
    or told.last_time > known.last_time + interval 1 minute
    or coalesce(told.node_type <> known.node_type, told.node_type is not null and known.node_type is null)
    or coalesce(told.cluster <> known.cluster, told.cluster is not null and known.cluster is null)
    or coalesce(told.namespace <> known.namespace, told.namespace is not null and known.namespace is null)
    or coalesce(told.pod <> known.pod, told.pod is not null and known.pod is null)
    or coalesce(told.workload <> known.workload, told.workload is not null and known.workload is null)
    or coalesce(told.app <> known.app, told.app is not null and known.app is null)
    or coalesce(told.version <> known.version, told.version is not null and known.version is null)
    or coalesce(told.service <> known.service, told.service is not null and known.service is null)
    or coalesce(told.service_account <> known.service_account, told.service_account is not null and known.service_account is null)
    or coalesce(told.zone <> known.zone, told.zone is not null and known.zone is null)
