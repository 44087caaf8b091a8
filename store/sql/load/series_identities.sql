-- What new series say of the proxies that reported them: Istio's labels name the reporter's own workload.
select
    $moment::timestamp as "time", 'metric' as evidence, emitter, null::varchar as address,
    null::varchar as node_type, cluster, namespace, null::varchar as pod, workload, app, version, service,
    null::varchar as service_account, null::varchar as "zone"
from (
    select
        emitter,
        case reporter when 'source' then source_cluster else destination_cluster end as cluster,
        case reporter when 'source' then source_namespace else destination_namespace end as namespace,
        case reporter when 'source' then source_workload else destination_workload end as workload,
        case reporter when 'source' then source_app else destination_app end as app,
        case reporter when 'source' then source_version else destination_version end as version,
        case reporter when 'destination' then service_host end as service
    from new_series
    where standard = 'istio' and reporter in ('source', 'destination') and not starts_with(emitter, '@')
)
where workload is not null
group by emitter, cluster, namespace, workload, app, version, service
