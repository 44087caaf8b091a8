-- In which minutes a proxy reported by access logs (ALS, OTLP, files), calling ('out') or called ('in'); of
-- connections only where `is_l4` (ztunnel).
create or replace macro row_voices(from_time, to_time) as table
select distinct
    coalesce(here.proxy, name) as proxy, coalesce(here.namespace, emitter_namespace(name)) as namespace,
    coalesce(here.workload, here.app, pod_workload(coalesce(here.pod, emitter_pod(name)))) as workload,
    case when side = 'in' then coalesce(here.service, service_host) end as service, side, is_l4, minute
from (
    select
        minute, signal = 'ztunnel' as is_l4, service_host, proxy_name(reporter, emitter, source_ip, destination_ip) as name,
        unnest(case reporter when 'source' then ['out'] when 'destination' then ['in'] else ['out', 'in'] end) as side
    from (
        from minutes_of(from_time::timestamp, to_time::timestamp)
    )
    join peers using (peer_key)
    where signal_rank(signal) < 4
)
left join proxy_history as here
    on here.emitter = name and minute + interval '59.999999 seconds' >= here.since
    and minute + interval '59.999999 seconds' < here.until
where name is not null;
