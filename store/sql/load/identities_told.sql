-- What a read's `identities` say, one row per emitter, address and kind of evidence. An '@IP' emitter is
-- only an address; a version that says nothing is none.
select
    case when not starts_with(emitter, '@') then emitter end as emitter,
    coalesce(ip_of(address), case when starts_with(emitter, '@') then emitter[2:] end) as address,
    coalesce(evidence, 'file') as evidence,
    min(moment) as first_time, max(moment) as last_time,
    arg_max(node_type, moment) as node_type, arg_max(cluster, moment) as cluster,
    arg_max(namespace, moment) as namespace, arg_max(pod, moment) as pod,
    arg_max(workload, moment) as workload, arg_max(app, moment) as app,
    arg_max(case when version not in ('', 'latest', 'unknown') then version end, moment) as version,
    arg_max(service, moment) as service, arg_max(service_account, moment) as service_account,
    arg_max(zone, moment) as zone
from (select *, coalesce("time", now()::timestamp) as moment from incoming)
where emitter is not null or address is not null
group by 1, 2, 3
