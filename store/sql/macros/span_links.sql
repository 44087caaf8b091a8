-- Applications' spans that count, one row each: its ids, and the leg and ends (numbers named by `ends`) it has
-- together with its other half. `lane_key` is a key of the span's peer and that half: what its lanes are found by.
--
-- The other half of a call is looked for where it is stored when the question is asked, five minutes around,
-- so one that comes late repairs the edge: the parent of a server or consumer span, the children of a client
-- or producer span. What is counted:
--   a client span under the same application's client span: the inner one, which is the attempt on the wire;
--       but of a call of a database or queue the outer one, for what lies beneath only carries it
--   a server span in a server span: the outer one; a consumer span in a consumer span: the inner one, the message
--   a call that a proxy's span continues, or that a proxy's server span began: not here, the mesh counts it
-- An inbound span is the server view, and the client view only where no client span and no proxy told of it.
create or replace macro span_links(from_time, to_time) as table
with caller as materialized (
    from span_callers(from_time, to_time)
),
own as materialized (
    select
        span.trace_id, span.span_id, span.parent_span_id, span.kind, span.peer_key, caller.minute,
        caller.reporter, caller.emitter, caller.target_kind, caller.is_unseen
    from spans_raw as span
    join caller on caller.peer_key = span.peer_key and caller.minute = date_trunc('minute', span.time)
    where span.time >= from_time::timestamp and span.time < to_time::timestamp
),
above as (
    select
        own.trace_id, own.span_id, any_value(parent.emitter) as emitter,
        bool_or(parent.is_proxy and parent.kind = 'server') as is_own_proxy,
        bool_or(parent.kind in ('client', 'producer')) as is_call,
        bool_or(parent.kind = own.kind and parent.emitter = own.emitter) as is_alike,
        bool_or(
            parent.target_kind is not null and parent.kind in ('client', 'producer') and parent.emitter = own.emitter
            and coalesce(parent.target_operation, '') not in ('receive', 'process', 'deliver')
        ) as is_carried
    from own
    join spans_raw as parent on parent.span_id = own.parent_span_id and parent.trace_id = own.trace_id
    where parent.time >= from_time::timestamp - interval 5 minutes
      and parent.time < to_time::timestamp + interval 5 minutes
    group by own.trace_id, own.span_id
),
below as (
    select
        own.trace_id, own.span_id,
        bool_or(child.is_proxy) as is_proxied,
        bool_or(child.kind in ('client', 'producer') and child.emitter = own.emitter) as is_call,
        bool_or(child.kind = 'consumer' and child.emitter = own.emitter) as is_consumed,
        -- Of several attempts (beneath one client span) the last is what the caller got.
        arg_max(child.emitter, child.time) filter (
            child.kind in ('server', 'consumer') and not child.is_proxy
        ) as emitter
    from own
    join spans_raw as child on child.parent_span_id = own.span_id and child.trace_id = own.trace_id
    where child.time >= from_time::timestamp - interval 5 minutes
      and child.time < to_time::timestamp + interval 5 minutes
      and child.kind <> 'internal'
    group by own.trace_id, own.span_id
),
call as materialized (
    select distinct
        own.trace_id, own.span_id, own.peer_key, own.minute,
        case
            when own.target_kind = 'queue' then null
            when own.reporter = 'source' then below.emitter
            else above.emitter
        end as other,
        own.reporter = 'destination' and own.target_kind is null and coalesce(above.is_call, false) as is_told
    from own
    left join above using (trace_id, span_id)
    left join below using (trace_id, span_id)
    where case
        when own.reporter = 'source' then
            not coalesce(below.is_proxied, false)
            and (own.target_kind is not null or not coalesce(below.is_call, false))
            and not coalesce(above.is_carried, false)
            and (not own.is_unseen or below.emitter is null)
        when own.kind = 'server' then not coalesce(above.is_own_proxy or above.is_alike, false)
        else not coalesce(below.is_consumed, false)
    end
),
-- Each pair of halves once, with the ends it joins.
pair as (
    select distinct peer_key, minute, other, is_told from call
),
joined as materialized (
    select
        pair.peer_key, pair.minute, pair.other, pair.is_told, caller.protocol, caller.reporter,
        case
            when caller.reporter = 'source' then caller.here_end
            when caller.target_kind = 'queue' then hash('target', caller.target_kind, caller.target_label)
            else coalesce(other.who, case when pair.other is not null then hash('emitter', pair.other) end, hash('unknown'))
        end as source,
        case
            when caller.reporter = 'destination' then caller.here_end
            when pair.other is not null then coalesce(other.who, hash('emitter', pair.other))
            when caller.target_kind is not null then hash('target', caller.target_kind, caller.target_label)
            when caller.callee_end is not null then caller.callee_end
            when caller.is_service or host_namespace(caller.service_host) is not null
                then hash('service', caller.service_host)
            when caller.peer_service is not null then hash('named', caller.is_peer_service, caller.peer_service)
            when caller.service_host is not null then hash('external', caller.service_host)
            when caller.destination_ip is not null then hash('external', caller.destination_ip)
            else hash('unknown')
        end as target,
        case
            when caller.reporter = 'destination' then caller.own_service
            when caller.target_kind is null
                then coalesce(other.service, caller.service_host, other.app, caller.peer_service)
        end as share_service,
        coalesce(other.proxy, pair.other) as other_proxy
    from pair
    join caller on caller.peer_key = pair.peer_key and caller.minute = pair.minute
    left join proxy_history as other
        on other.emitter = coalesce(pair.other, '@' || caller.source_ip)
        and caller.moment >= other.since and caller.moment < other.until
)
select
    call.trace_id, call.span_id, call.peer_key, joined.minute, joined.protocol, joined.reporter, joined.source,
    joined.target, joined.share_service,
    hash('call', call.peer_key, call.other, call.is_told) as lane_key,
    -- A caller whose proxy reports told of its calls, whether or not this one's span came.
    call.is_told or heard.proxy is not null as is_told
from call
join joined
    on joined.peer_key = call.peer_key and joined.minute = call.minute and joined.is_told = call.is_told
    and joined.other is not distinct from call.other
left join (select distinct proxy, minute, is_inbound from caller where reporter = 'proxy') as heard
    on heard.proxy = joined.other_proxy and heard.minute = joined.minute
    and heard.is_inbound = (joined.reporter = 'source')
-- What the called instance's proxy reports is not told by its caller's span.
where joined.reporter = 'destination' or heard.proxy is null;
