-- By how many minutes the clocks of two proxies may differ.
create or replace macro clocks_differ() as 5;

-- What each reported tuple means: its *legs*. One row per (peer_key, hour, leg, view) and meaning, with the `minutes`
-- of the hour that have it (a set, see `minute_sets`):
--   leg   'out'  the reporter called somebody   (source, gateway, waypoint)
--         'in'   somebody called the reporter   (destination, gateway, waypoint)
--   view  'client' what callers got (each request once) | 'server' what each instance received
--   source, target   numbers of the two ends, named by the macro `ends`
--   share_service    the service that was called
--   unlinked         an inbound leg whose direct caller the line did not show (see `claims`)
-- Only the small tables are read here, and only numbers are carried: rows are joined to this later.
-- The window is widened by a minute on either side, because whether a caller reports is looked up there.
-- A ztunnel tells of connections (`is_l4`), not of the requests within: it counts beside the requests that a
-- waypoint, gateway or sidecar tells of, and takes none of them away.
create or replace macro legs(from_time, to_time) as table
with heard as materialized (
    from heard_minutes(
        date_trunc('minute', from_time::timestamp) - interval 1 minute, minute_after(to_time::timestamp + interval 1 minute)
    )
),
emitter_known as (
    select emitter as name, proxy, service, who, since, until from proxy_history
),
proxies as materialized (
    from holders('emitter_known')
),
address_known as (
    select address as name, proxy, service, who, since, until from address_history
),
addresses as materialized (
    from holders('address_known')
),
peer as materialized (
    select
        *, proxy_name(reporter, emitter, source_ip, destination_ip) as name, signal_rank(signal) as rank,
        signal = 'ztunnel' as is_l4,
        case when principal_account(source_principal) is not null then hash('principal', source_principal) end as named_end
    from peers
    where signal <> 'app_span'
),
told as materialized (
    select * from (
        select
            peer_key, heard.hour, peer.signal, rank, peer.reporter, is_l4, peer.protocol, peer.service_host, peer.subset,
            peer.destination_ip, peer.source_ip, peer.background,
            coalesce(here.proxy, peer.name) as proxy,
            coalesce(caller.proxy, '@' || peer.source_ip) as caller,
            callee.proxy as callee,
            coalesce(here.service, peer.service_host) as own_service,
            coalesce(here.who, hash('emitter', peer.name)) as here_end,
            coalesce(caller.who, peer.named_end, hash('unknown')) as caller_end,
            callee.who as callee_end,
            heard.minutes & minutes_held(heard.hour, here.since, here.until)
                & minutes_held(heard.hour, caller.since, caller.until)
                & minutes_held(heard.hour, callee.since, callee.until) as minutes
        from heard
        join peer using (peer_key)
        left join proxies as here
            on here.name = peer.name and here.since < heard.hour + interval 1 hour and here.until > heard.hour
        left join addresses as caller
            on caller.name = peer.source_ip and caller.since < heard.hour + interval 1 hour and caller.until > heard.hour
        left join addresses as callee
            on callee.name = peer.destination_ip and callee.since < heard.hour + interval 1 hour
            and callee.until > heard.hour
    )
    where minutes <> 0
),
-- Metrics come between files and spans; their edges are `metric_facts`, here they only outdo spans.
outdone as materialized (
    select proxy, date_trunc('hour', minute) as "hour", leg, callee, bit_or(minute_bit(minute)) as minutes
    from metric_outdone(from_time, to_time)
    group by all
),
-- Invariant 5a: of each proxy and minute only the most complete signal counts.
better as materialized (
    select
        proxy, "hour", is_l4, bit_or(minutes) filter (rank < 2) as before_2, bit_or(minutes) filter (rank < 3) as before_3,
        bit_or(minutes) filter (rank < 5) as before_5
    from told
    where proxy is not null
    group by all
    having min(rank) < max(rank)
),
counted as materialized (
    select * from (
        select told.* replace (minutes_without(
            told.minutes, case rank when 2 then before_2 when 3 then before_3 when 5 then before_5 end
        ) as minutes)
        from told
        left join better using (proxy, "hour", is_l4)
    )
    where minutes <> 0
),
-- Invariant 5b: did the calling instance speak for itself, in this minute or the next to it?
voice as materialized (
    select proxy, "hour", rank, is_l4, protocol = 'tcp' as is_tcp, bit_or(minutes) as minutes
    from counted
    where reporter <> 'destination' and proxy is not null
    group by all
),
-- Any access log tells of every request: of two the caller's counts, be it a file beside ALS.
spoke as materialized (
    select
        proxy, "hour",
        bit_or(minutes) filter (not is_l4 and rank <= 3) as by_log, bit_or(minutes) filter (not is_l4) as by_any,
        bit_or(minutes) filter (is_l4) as by_l4, bit_or(minutes) filter (not is_l4 and is_tcp) as by_tcp,
        bit_or(minutes) filter (not is_l4 and rank <> 4) as by_rows
    from (
        select proxy, "hour", rank, is_l4, is_tcp, minutes from minutes_around('voice', 1)
        union all
        select proxy, "hour", 4, false, false, minutes from outdone where leg = 'out' and callee is null
    )
    group by proxy, "hour"
),
outbound as (
    select * from counted where reporter <> 'destination' and rank < 5 and counts_background(background)
    union all
    select * from spans_out('counted', 'outdone') where minutes <> 0 and counts_background(background)
),
heard_in as materialized (
    select *, minutes & case
        when is_l4 then coalesce(by_l4, 0) | coalesce(by_tcp, 0)
        when protocol = 'tcp' then coalesce(by_requests, 0) | coalesce(by_l4, 0)
        else coalesce(by_requests, 0)
    end as covered
    from (
        select
            counted.* replace (minutes_without(minutes_without(
                counted.minutes,
                -- A connection that carried the requests of a proxy which reports those repeats them.
                case when is_l4 then minutes_without(minutes_without(by_rows, by_tcp), by_l4) end),
                case when rank = 5 then by_metrics.minutes end
            ) as minutes),
            by_l4, by_tcp, case when rank <= 3 then by_log else by_any end as by_requests
        from counted
        left join spoke on spoke.proxy = counted.caller and spoke.hour = counted.hour
        left join outdone as by_metrics
            on by_metrics.proxy = counted.proxy and by_metrics.hour = counted.hour and by_metrics.leg = 'in'
        where reporter <> 'source' and counts_background(background)
    )
    where minutes <> 0
),
-- The callers who did not: did they within the minutes that two clocks may differ?
quiet as materialized (
    select heard.hour, holder.proxy, peer.rank, bit_or(heard.minutes & minutes_within(heard.hour, holder.since, holder.until)) as minutes
    from peer
    join proxies as holder on holder.name = peer.name
    join heard_minutes(
        date_trunc('minute', from_time::timestamp) - to_minutes(clocks_differ() + 1),
        minute_after(to_time::timestamp + to_minutes(clocks_differ() + 1))
    ) as heard on heard.peer_key = peer.peer_key
    where holder.proxy in (select caller from heard_in where covered <> minutes and not is_l4)
      and peer.reporter <> 'destination' and not is_l4
    group by all
),
around as materialized (
    select proxy, "hour", bit_or(minutes) filter (rank <= 3) as by_log, bit_or(minutes) as by_any
    from minutes_around('quiet', clocks_differ())
    group by all
),
inbound as (
    select heard_in.* replace (
        case
            when is_l4 then covered
            else covered | (heard_in.minutes & coalesce(case when rank <= 3 then around.by_log else around.by_any end, 0))
        end as covered
    )
    from heard_in
    left join around on around.proxy = heard_in.caller and around.hour = heard_in.hour
)
select
    peer_key, "hour", minutes, 'out' as leg, 'client' as view, signal, protocol, here_end as source,
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
    peer_key, "hour", part.minutes, 'in', part.view, signal, protocol, caller_end, here_end, own_service,
    source_ip is null and signal <> 'span'
from (
    select *, unnest([
        struct_pack("view" := 'server', minutes := minutes),
        struct_pack("view" := 'client', minutes := minutes_without(minutes, covered))
    ]) as part
    from inbound
)
where part.minutes <> 0
union all
-- Applications' spans (see `span_links`): only where the mesh does not tell the same.
select
    lane_key, "hour", minutes, case when reporter = 'source' then 'out' else 'in' end,
    unnest(case when reporter = 'source' then ['client'] when is_told then ['server'] else ['server', 'client'] end),
    'span', protocol, source, target, share_service, false
from (
    select
        lane_key, date_trunc('hour', minute) as "hour", reporter, is_told, protocol, source, target, share_service,
        bit_or(minute_bit(minute)) as minutes
    from span_links(from_time, to_time)
    group by all
);
