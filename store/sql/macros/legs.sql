-- What each reported tuple means in each minute: its *legs*. One row per (peer_key, minute, leg, view):
--   leg   'out'  the reporter called somebody   (source, gateway, waypoint)
--         'in'   somebody called the reporter   (destination, gateway, waypoint)
--   view  'client' what callers got (each request once) | 'server' what each instance received
--   source, target   numbers of the two ends, named by the macro `ends`
--   share_service    the service that was called
--   unlinked         an inbound leg whose direct caller the line did not show (see `lane_rows`)
-- Only the small tables are read here, and only numbers are carried: rows are joined to this later.
-- The window is widened by a minute on either side, because whether a caller reports is looked up there.
-- A ztunnel tells of connections (`is_l4`), not of the requests within: it counts beside the requests that a
-- waypoint, gateway or sidecar tells of, and takes none of them away.
create or replace macro legs(from_time, to_time) as table
with heard as materialized (
    select peer_key, minute, minute + interval '59.999999 seconds' as moment
    from activity
    where minute >= date_trunc('minute', from_time::timestamp) - interval 1 minute
      and minute < to_time::timestamp + interval 1 minute
    group by all
    having sum("rows") > 0
),
told as materialized (
    select
        heard.peer_key, heard.minute, peers.signal, signal_rank(peers.signal) as rank, peers.reporter,
        peers.signal = 'ztunnel' as is_l4, peers.protocol, peers.service_host, peers.subset, peers.destination_ip,
        peers.source_ip, peers.background,
        coalesce(here.proxy, peers.name) as proxy,
        coalesce(caller.proxy, '@' || peers.source_ip) as caller,
        callee.proxy as callee,
        coalesce(here.service, peers.service_host) as own_service,
        coalesce(here.who, hash('emitter', peers.name)) as here_end,
        coalesce(caller.who, hash('unknown')) as caller_end,
        callee.who as callee_end
    from heard
    join (
        select *, proxy_name(reporter, emitter, source_ip, destination_ip) as name from peers where signal <> 'app_span'
    ) as peers using (peer_key)
    left join proxy_history as here
        on here.emitter = peers.name and heard.moment >= here.since and heard.moment < here.until
    left join address_history as caller
        on caller.address = peers.source_ip and heard.moment >= caller.since and heard.moment < caller.until
    left join address_history as callee
        on callee.address = peers.destination_ip and heard.moment >= callee.since and heard.moment < callee.until
),
-- Metrics come between files and spans; their edges are `metric_facts`, here they only outdo spans.
outdone as materialized (
    from metric_outdone(from_time, to_time)
),
-- Invariant 5a: of each proxy and minute only the most complete signal counts.
best as (
    select proxy, minute, is_l4, min(rank) as rank from told where proxy is not null group by all
),
counted as materialized (
    select told.* from told left join best using (proxy, minute, is_l4)
    where told.proxy is null or told.rank = best.rank
),
-- Invariant 5b: did the calling instance speak for itself, in this minute or the next to it?
spoke as (
    select
        proxy, minute, min(rank) filter (not is_l4) as rank, bool_or(is_l4) as by_l4,
        bool_or(not is_l4 and protocol = 'tcp') as by_tcp, bool_or(not is_l4 and rank <> 4) as by_rows
    from (
        select proxy, minute + to_minutes(step) as minute, rank, is_l4, protocol
        from (
            select distinct proxy, minute, rank, is_l4, protocol from counted
            where reporter <> 'destination' and proxy is not null
        ), (values (-1), (0), (1)) as nearby(step)
        union all
        select proxy, minute, 4, false, null from outdone where leg = 'out' and callee is null
    )
    group by proxy, minute
),
-- Which callers that send spans a callee reports by better than those, by the callee itself and by its service.
heard_better as (
    select distinct caller as proxy, minute + to_minutes(step) as minute, unnest([proxy, own_service]) as callee
    from (
        from counted
        where reporter <> 'source' and rank < 5 and not is_l4
          and caller in (select proxy from counted where reporter <> 'destination' and rank = 5)
    ), (values (-1), (0), (1)) as nearby(step)
),
spans_out as (
    -- Outbound spans, without those whose callee reports this caller by something better.
    select spans.*
    from counted as spans
    left join heard_better as by_callee
        on by_callee.proxy = spans.proxy and by_callee.minute = spans.minute and by_callee.callee = spans.callee
    left join heard_better as by_service
        on by_service.proxy = spans.proxy and by_service.minute = spans.minute
        and by_service.callee = spans.service_host
    where spans.reporter <> 'destination' and spans.rank = 5
      and by_callee.proxy is null and by_service.proxy is null
      and not exists (
          from outdone
          where outdone.proxy = spans.proxy and outdone.minute = spans.minute and leg = 'out'
            and coalesce(outdone.callee = spans.service_host, outdone.callee is null)
      )
),
outbound as (
    select * from counted where reporter <> 'destination' and rank < 5 and counts_background(background)
    union all
    select * from spans_out where counts_background(background)
),
inbound as (
    select counted.*, case
        when is_l4 then coalesce(by_l4 or by_tcp, false)
        else coalesce(spoke.rank <= counted.rank, false) or (protocol = 'tcp' and coalesce(by_l4, false))
    end as covered
    from counted
    left join spoke on spoke.proxy = counted.caller and spoke.minute = counted.minute
    -- A connection that carried the requests of a proxy which reports those (a waypoint, a gateway) repeats them.
    where not (is_l4 and coalesce(by_rows and not by_tcp and not by_l4, false))
      and reporter <> 'source' and counts_background(background) and (counted.rank < 5 or not exists (
        from outdone
        where outdone.proxy = counted.proxy and outdone.minute = counted.minute and leg = 'in'
    ))
)
select
    peer_key, minute, 'out' as leg, 'client' as view, signal, protocol, here_end as source,
    case
        when callee_end is not null then callee_end
        -- An answer (for a span the subset stands only where one came) from an unknown address.
        when (destination_ip is not null or signal = 'span') and subset is not null and service_host is not null
            then hash('subset', service_host, subset)
        -- A host outside the mesh is one node, whether or not it answered.
        when host_namespace(service_host) is null and (destination_ip is not null or contains(service_host, '.'))
            then hash('external', coalesce(service_host, destination_ip))
        when service_host is not null then hash('service', service_host)
        else hash('unknown')
    end as target,
    service_host as share_service, false as unlinked
from outbound
union all
select
    peer_key, minute, 'in', unnest(case when covered then ['server'] else ['server', 'client'] end), signal, protocol,
    caller_end, here_end, own_service, source_ip is null and signal <> 'span'
from inbound
union all
-- Applications' spans (see `span_links`): only where the mesh does not tell the same.
select
    lane_key, minute, case when reporter = 'source' then 'out' else 'in' end,
    unnest(case when reporter = 'source' then ['client'] when is_told then ['server'] else ['server', 'client'] end),
    'span', protocol, source, target, share_service, false
from (
    select distinct lane_key, minute, reporter, is_told, protocol, source, target, share_service
    from span_links(from_time, to_time)
);
