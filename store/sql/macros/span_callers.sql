-- Applications' span peers that may count in a minute, each with who it is (small tables only; `span_calls`
-- reads the spans themselves). Invariant 5a: an application is the instance its pod's sidecar is, and spans of
-- its own are its least complete signal. So nothing counts here that the mesh reports by whatever else:
--   inbound   where the instance's proxy reported anything in this minute or the next to it
--             (a ztunnel sees connections only: what it reports stands for calls over tcp, not for requests)
--   outbound  where the called instance or service did, or the own proxy, but for a database, a queue or a
--             host outside the mesh that this proxy has never named: those it does not see (`is_unseen`)
-- An application that does not say its pod is taken for every pod whose app bears its name.
-- Rows of reporter 'proxy' tell which proxies reported at all near such a minute (`is_inbound`: requests into them).
create or replace macro span_callers(from_time, to_time) as table
with mine as materialized (
    select
        peers.peer_key, heard.minute, heard.minute + interval '59.999999 seconds' as moment, peers.reporter,
        peers.protocol, peers.emitter, peers.service_host, peers.destination_ip, peers.source_ip, peers.target_kind,
        target_label(peers.target_kind, peers.target_system, peers.target_name, peers.service_host) as target_label,
        case when peers.target_kind is null then peers.target_name end as peer_service,
        coalesce(here.proxy, peers.emitter) as proxy, coalesce(here.who, hash('emitter', peers.emitter)) as here_end,
        coalesce(here.service, here.app) as own_service,
        case when contains(peers.emitter, '/') then here.app end as lone_app, coalesce(here.namespace, '') as namespace,
        callee.proxy as callee, callee.who as callee_end
    from (
        from minutes_of(date_trunc('minute', from_time::timestamp), to_time::timestamp)
    ) as heard
    join peers using (peer_key)
    left join proxy_history as here
        on here.emitter = peers.emitter
        and heard.minute + interval '59.999999 seconds' >= here.since
        and heard.minute + interval '59.999999 seconds' < here.until
    left join address_history as callee
        on callee.address = peers.destination_ip
        and heard.minute + interval '59.999999 seconds' >= callee.since
        and heard.minute + interval '59.999999 seconds' < callee.until
    where peers.signal = 'app_span' and counts_background(peers.background)
),
-- What the mesh reports: by which proxy (as the instance it is), of whom.
mesh as (
    select
        told.*, coalesce(here.proxy, told.name) as proxy, coalesce(here.service, told.service_host) as service,
        here.app, here.namespace, here.since, here.until
    from (
        select
            peer_key, reporter, signal = 'ztunnel' as is_l4, service_host, destination_ip,
            proxy_name(reporter, emitter, source_ip, destination_ip) as name
        from peers
        where signal <> 'app_span'
    ) as told
    left join proxy_history as here on here.emitter = told.name
    where told.name is not null
),
workload as materialized (
    select distinct proxy, namespace, coalesce(workload, app, pod_workload(pod)) as workload from proxy_history
),
-- The same by metrics, whose proxy may be known by its workload alone.
counter as (
    select distinct
        coalesce(voice.proxy, workload.proxy) as proxy, minute, service_host, own_app as app, own_namespace as namespace,
        side = 'in' as is_inbound
    from metric_voices(from_time::timestamp - interval 2 minutes, to_time::timestamp + interval 2 minutes) as voice
    left join workload
        on voice.proxy is null and workload.namespace = own_namespace and workload.workload = own_workload
),
better as materialized (
    select
        proxy, minute + to_minutes(step) as minute, case when is_inbound then service_host end as service, app,
        coalesce(namespace, '') as namespace, false as is_l4, is_inbound
    from counter, (values (-1), (0), (1)) as nearby(step)
    union
    select
        proxy, heard.minute + to_minutes(step) as minute, service, app, coalesce(namespace, '') as namespace,
        is_l4,
        -- A gateway's row is a request into it and one out of it.
        unnest(case reporter when 'source' then [false] when 'destination' then [true] else [true, false] end)
            as is_inbound
    from (
        from minutes_of(
            date_trunc('minute', from_time::timestamp) - interval 1 minute, to_time::timestamp + interval 1 minute
        )
        where minute in (select minute + to_minutes(step) from mine, (values (-1), (0), (1)) as nearby(step))
    ) as heard
    join mesh using (peer_key), (values (-1), (0), (1)) as nearby(step)
    where since is null
        or (heard.minute + interval '59.999999 seconds' >= since and heard.minute + interval '59.999999 seconds' < until)
),
-- Whom these proxies have ever named.
named as (
    select distinct proxy, unnest([service_host, destination_ip]) as host
    from mesh
    where reporter <> 'destination' and proxy in (select proxy from mine)
    union
    select coalesce(speaker.proxy, workload.proxy), service_host
    from metric_speakers() as speaker
    left join workload
        on speaker.proxy is null and workload.namespace = own_namespace and workload.workload = own_workload
    where side = 'out'
),
judged as (
    select
        mine.*,
        spoke.proxy is not null or namesake.app is not null as is_meshed,
        called.proxy is not null or served.service is not null as is_heard,
        by_host.proxy is not null or by_address.proxy is not null as is_named,
        known.name is not null as is_service,
        peer.name is not null as is_peer_service
    from mine
    left join (select proxy, minute, bool_and(is_l4) as is_l4 from better group by all) as spoke
        on spoke.proxy = mine.proxy and spoke.minute = mine.minute and (mine.protocol = 'tcp' or not spoke.is_l4)
    left join (
        select app, namespace, minute, bool_and(is_l4) as is_l4
        from (select app, unnest([namespace, '']) as namespace, minute, is_l4 from better)
        group by all
    ) as namesake
        on namesake.app = mine.lone_app and namesake.namespace = mine.namespace and namesake.minute = mine.minute
        and (mine.protocol = 'tcp' or not namesake.is_l4)
    left join (select proxy, minute, bool_and(is_l4) as is_l4 from better where is_inbound group by all) as called
        on called.proxy = mine.callee and called.minute = mine.minute and (mine.protocol = 'tcp' or not called.is_l4)
    left join (select service, minute, bool_and(is_l4) as is_l4 from better where is_inbound group by all) as served
        on served.service = mine.service_host and served.minute = mine.minute
        and (mine.protocol = 'tcp' or not served.is_l4)
    left join named as by_host on by_host.proxy = mine.proxy and by_host.host = mine.service_host
    left join named as by_address on by_address.proxy = mine.proxy and by_address.host = mine.destination_ip
    left join (select distinct unnest([service, app]) as name from instances) as known on known.name = mine.service_host
    left join (select distinct unnest([service, app]) as name from instances) as peer on peer.name = mine.peer_service
)
select * exclude (is_meshed, is_heard, is_named), is_meshed as is_unseen, null::boolean as is_inbound
from judged
where case
    when reporter = 'destination' then not is_meshed
    when is_heard then false
    when not is_meshed then true
    when is_named then false
    when target_kind is not null then true
    else
        callee is null and not is_service and host_namespace(service_host) is null
        and coalesce(service_host, destination_ip, peer_service) is not null
end
union all by name
select distinct 'proxy' as reporter, proxy, minute, is_inbound from better where proxy is not null and not is_l4;
