-- The increments that count, with the leg and view each counts for (see `legs`). Invariant 5 of design.md:
--   a. Metrics count only where their proxy sent no access logs in the time they tell of (nor in the minute
--      before it); logs of connections (ztunnel's) outdo metrics of connections only. Envoy's own statistics
--      count only where Istio's metrics do not tell the same.
--   b. What the caller reports is the client view, unless the called side reports better. What the called side
--      reports is the server view, and the client view only where the caller does not report.
create or replace macro metric_counted(from_time, to_time) as table
with spoken as materialized (
    from metric_speakers()
),
grown as materialized (
    select increment.*, speaker, date_trunc('minute', since) as first_minute, date_trunc('minute', moment) as minute
    from metric_increments(from_time, to_time) as increment
    join spoken using (series_key)
),
spell as materialized (
    select row_number() over () as spell_no, *
    from (select distinct speaker, first_minute, minute from grown)
    join (select distinct on (speaker) * exclude (series_key, family) from spoken) using (speaker)
),
row_voice as materialized (
    from row_voices(from_time::timestamp - interval 7 minutes, to_time::timestamp)
),
metric_voice as materialized (
    -- As `metric_voices` has it, for what is already at hand.
    select distinct
        side, proxy, own_namespace, own_workload, peer_namespace, peer_workload, service_host, is_tcp,
        date_trunc('minute', time - interval 1 microsecond) as minute
    from metric_points_raw
    join spoken using (series_key)
    where standard = 'istio' and family = 'requests' and time > from_time::timestamp - interval 7 minutes
      and time <= to_time::timestamp + interval 1 minute
),
outdone as (
    select spell_no from spell join row_voice on (is_tcp or not is_l4) and row_voice.proxy = spell.proxy
        and row_voice.minute >= first_minute - interval 1 minute and row_voice.minute <= spell.minute
    union
    select spell_no from spell join row_voice on (is_tcp or not is_l4) and spell.proxy is null
        and row_voice.namespace = own_namespace and row_voice.workload = own_workload
        and row_voice.minute >= first_minute - interval 1 minute and row_voice.minute <= spell.minute
    union
    select spell_no from spell join row_voice on (is_tcp or not is_l4) and spell.side = 'out' and row_voice.side = 'in'
        and row_voice.namespace = peer_namespace and row_voice.workload = peer_workload
        and row_voice.minute >= first_minute - interval 1 minute and row_voice.minute <= spell.minute
    union
    select spell_no from spell join row_voice on (is_tcp or not is_l4) and standard = 'envoy' and row_voice.side = 'in'
        and row_voice.service = spell.service_host
        and row_voice.minute >= first_minute - interval 1 minute and row_voice.minute <= spell.minute
    union
    select spell_no from spell join metric_voice as told on spell.standard = 'envoy'
        and told.minute >= first_minute - interval 1 minute and told.minute <= spell.minute + interval 1 minute
        and case told.side
            when 'out' then coalesce(
                told.proxy = spell.proxy,
                told.own_namespace = spell.own_namespace and told.own_workload = spell.own_workload
            )
            else told.peer_namespace = spell.own_namespace and told.peer_workload = spell.own_workload
                and told.service_host = spell.service_host
        end
),
covered as (
    select spell_no from spell join row_voice on (is_tcp or not is_l4) and spell.side = 'in' and row_voice.side = 'out'
        and row_voice.namespace = peer_namespace and row_voice.workload = peer_workload
        and row_voice.minute >= first_minute - interval 1 minute and row_voice.minute <= spell.minute
    union
    select spell_no from spell join metric_voice as told on spell.side = 'in' and told.side = 'out'
        and told.own_namespace = spell.peer_namespace and told.own_workload = spell.peer_workload
        and told.is_tcp = spell.is_tcp
        and told.minute >= first_minute - interval 1 minute and told.minute <= spell.minute + interval 1 minute
),
counting as (
    select speaker, first_minute, minute, side as leg, unnest(case
        when side = 'out' then ['client']
        when spell_no in (select spell_no from covered) then ['server']
        else ['server', 'client']
    end) as view
    from spell
    where spell_no not in (select spell_no from outdone)
)
select
    series_key, moment, leg, view, grown, grown_sum, bounds, grown_counts
from grown
join counting using (speaker, first_minute, minute);
