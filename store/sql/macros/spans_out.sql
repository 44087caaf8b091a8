-- Outbound spans of relation `counted` of `legs`, without those whose callee reports this caller by something better. Where
-- no proxy sends spans, a reader puts another macro of this name before this one (`ask/no_span_peers`).
create or replace macro spans_out(counted, outdone) as table
with
-- Which callers that send spans a callee reports by better than those, by the callee itself and by its service.
better_heard as materialized (
    select caller as proxy, "hour", callee, bit_or(minutes) as minutes
    from (
        select caller, "hour", minutes, unnest([proxy, own_service]) as callee
        from query_table(counted)
        where reporter <> 'source' and rank < 5 and not is_l4
          and caller in (select proxy from query_table(counted) where reporter <> 'destination' and rank = 5)
    )
    group by all
),
heard_better as materialized (
    select proxy, "hour", callee, bit_or(minutes) as minutes from minutes_around('better_heard', 1) group by all
)
select spans.* replace (
    minutes_without(minutes_without(minutes_without(minutes_without(
        spans.minutes, by_callee.minutes), by_service.minutes), by_metrics.minutes), of_service.minutes
    ) as minutes
)
from query_table(counted) as spans
left join heard_better as by_callee
    on by_callee.proxy = spans.proxy and by_callee.hour = spans.hour and by_callee.callee = spans.callee
left join heard_better as by_service
    on by_service.proxy = spans.proxy and by_service.hour = spans.hour
    and by_service.callee = spans.service_host
left join query_table(outdone) as by_metrics
    on by_metrics.proxy = spans.proxy and by_metrics.hour = spans.hour and by_metrics.leg = 'out'
    and by_metrics.callee is null
left join query_table(outdone) as of_service
    on of_service.proxy = spans.proxy and of_service.hour = spans.hour and of_service.leg = 'out'
    and of_service.callee = spans.service_host
where spans.reporter <> 'destination' and spans.rank = 5;
