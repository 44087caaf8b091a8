-- What metrics add to `edge_facts`, in its columns: counts are the counters' own; percentiles are estimated from
-- histogram buckets as Prometheus' histogram_quantile does (linear within a bucket; the last bound where the
-- value lies above all). `signal` is 'metric' on every row.
create or replace macro metric_facts(from_time, to_time, grain, step_us, only_no) as table
with every_lane as materialized (
    from metric_lanes(from_time, to_time, grain)
),
lane as materialized (
    from every_lane
    where only_no is null or edge_no = only_no or target_no = only_no
       or (source_no = only_no and only_no not in (select target_no from every_lane))
),
counted as materialized (
    select
        lane.* exclude (series_key), leg, view, grown, grown_sum, bounds, grown_counts,
        step_of(greatest(moment, from_time::timestamp), from_time, to_time, step_us) as bucket
    from metric_counted(from_time, to_time)
    join lane using (series_key)
),
slot as (
    select bucket, edge_no, called_no, view, leg, part.upper as upper, part.lower as lower, sum(part.n) as n
    from (
        select bucket, edge_no, coalesce(only_no, target_no) as called_no, view, leg, unnest(list_transform(
            list_filter(
                list_zip(list_append(bounds, 'infinity'::double), list_prepend(0::double, bounds), grown_counts),
                lambda slot: slot[3] > 0
            ),
            lambda slot: struct_pack(upper := slot[1], lower := slot[2], n := slot[3])
        )) as part
        from counted
        where family = 'duration' and status_code is distinct from 101 and grown_counts is not null
    )
    group by grouping sets (
        (bucket, edge_no, called_no, view, leg, part.upper, part.lower),
        (bucket, called_no, view, part.upper, part.lower)
    )
),
reached as (
    select
        *, sum(n) over upto as reached, sum(n) over (partition by bucket, edge_no, called_no, view, leg) as total
    from slot
    window upto as (partition by bucket, edge_no, called_no, view, leg order by upper, lower)
)
select
    'count' as fact, bucket, edge_no, source_no, target_no, protocol, view, leg, 'metric' as signal, share_service,
    status_code, grpc_status, response_flags, null::varchar as details, tls,
    round(coalesce(sum(grown) filter (family = 'requests'), 0))::bigint as requests,
    round(sum(grown_sum * 1000) filter (family = 'duration'))::bigint as duration_us,
    round(coalesce(sum(grown) filter (family = 'duration'), 0))::bigint as timed,
    null::bigint as attempts, 0::bigint as attempts_known,
    round(sum(coalesce(grown_sum, grown)) filter (family = 'request_bytes'))::bigint as request_bytes,
    round(sum(coalesce(grown_sum, grown)) filter (family = 'response_bytes'))::bigint as response_bytes,
    null::double[] as quantiles_us
from counted
group by all
union all by name
select
    case when edge_no is null then 'node' else 'latency' end as fact, bucket, edge_no, called_no as target_no, view, leg,
    'metric' as signal,
    [
        min(quantile_in(0.5, reached, total, n, lower, upper)), min(quantile_in(0.9, reached, total, n, lower, upper)),
        min(quantile_in(0.95, reached, total, n, lower, upper)), min(quantile_in(0.99, reached, total, n, lower, upper))
    ] as quantiles_us
from reached
group by bucket, edge_no, called_no, view, leg;
