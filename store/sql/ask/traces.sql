-- A page of traces, newest first: those with spans that start in the window. The root is the earliest span
-- whose parent is not among them.
with wanted as materialized (
    select trace_id from spans_raw
    where time >= $from_time::timestamp and time < $to_time::timestamp and $number is null
    union
    select trace_id from counted_rows($from_time, $to_time)
    where $number is not null and trace_id is not null and (peer_key, epoch_us(time) // 60000000) in (
        select (lane_key, minute_no) from lanes($from_time, $to_time, $grain)
        where edge_no = $number::ubigint or target_no = $number::ubigint or source_no = $number::ubigint
    )
    union
    -- Access logs may carry no trace id; the request id, which the whole call tree shares, leads to it.
    select trace_id from spans_raw
    where $number is not null and request_id in (
        select request_id from counted_rows($from_time, $to_time)
        where (peer_key, epoch_us(time) // 60000000) in (
            select (lane_key, minute_no) from lanes($from_time, $to_time, $grain)
            where edge_no = $number::ubigint or target_no = $number::ubigint or source_no = $number::ubigint
        )
    ) and time >= $from_time::timestamp and time < $to_time::timestamp
),
sought as (
    select * from named_spans()
    where time >= $from_time::timestamp and time < $to_time::timestamp
      and trace_id in (select trace_id from wanted)
),
grouped as (
    select
        trace_id, min(time) as time, min(time_ns) as start_ns, max(time_ns + duration_ns) as end_ns,
        count(*) as spans, count(*) filter (failed) as errors,
        list_distinct(list(service)) as names
    from sought
    group by trace_id
),
page as (
    select *, (end_ns - start_ns) / 1000000 as duration_ms
    from grouped
    where ($service is null or list_contains(names, $service))
      and (not $errors or errors > 0)
      and (end_ns - start_ns) / 1000000 >= $min_duration_ms
      and ($before_time is null or time < $before_time::timestamp
           or (time = $before_time::timestamp and hash(trace_id) < $before_hash::ubigint))
    order by time desc, hash(trace_id) desc
    limit $limit
),
roots as (
    select
        span.trace_id, arg_min(span.service, span.time_ns) as root_service, arg_min(span.name, span.time_ns) as root_name
    from sought as span
    left join sought as parent on parent.trace_id = span.trace_id and parent.span_id = span.parent_span_id
    where span.trace_id in (select trace_id from page) and parent.span_id is null
    group by span.trace_id
),
services as (
    select trace_id, list(struct_pack(name := service, spans := spans) order by spans desc, service) as services
    from (
        select trace_id, service, count(*) as spans from sought
        where trace_id in (select trace_id from page) group by all
    )
    group by trace_id
)
select
    replace(page.trace_id::varchar, '-', '') as trace_id, epoch_us(page.time) as time_us, duration_ms, root_service,
    root_name, spans, errors, services, hash(page.trace_id) as row_hash
from page
left join roots using (trace_id)
left join services using (trace_id)
order by page.time desc, hash(page.trace_id) desc
