-- Who speaks through each counted series, of whom: `side` 'out' (the caller's proxy) or 'in' (the called side's).
-- `proxy` is the reporting proxy's name in rows, null where only the workload is told (a scrape without the
-- pod's name). `speaker` numbers what decides whether a series counts.
create or replace macro metric_speakers() as table
with here as (
    select emitter, arg_max(proxy, since) as proxy, arg_max(namespace, since) as namespace,
        arg_max(coalesce(workload, app, pod_workload(pod)), since) as workload, arg_max(app, since) as app
    from proxy_history
    group by emitter
)
select
    *,
    hash(standard, side, proxy, own_namespace, own_workload, peer_namespace, peer_workload, service_host, is_tcp)
        as speaker
from (
    select
        series_key, family, standard, service_host, protocol = 'tcp' as is_tcp,
        case reporter when 'source' then 'out' else 'in' end as side,
        coalesce(here.proxy, case when not starts_with(series.emitter, '@') then series.emitter end) as proxy,
        case
            when standard = 'envoy' then coalesce(here.namespace, emitter_namespace(series.emitter))
            when reporter = 'source' then source_namespace
            else destination_namespace
        end as own_namespace,
        case
            when standard = 'envoy' then coalesce(here.workload, pod_workload(emitter_pod(series.emitter)))
            when reporter = 'source' then source_workload
            else destination_workload
        end as own_workload,
        case when standard = 'envoy' then here.app when reporter = 'source' then source_app else destination_app end
            as own_app,
        case reporter when 'source' then destination_namespace else source_namespace end as peer_namespace,
        case reporter when 'source' then destination_workload else source_workload end as peer_workload
    from series
    left join here on here.emitter = series.emitter
    where family is not null
);
