-- What each point of a counted series adds to the one before: `grown` (requests, connections, bytes, or the
-- measurements of a histogram), for histograms the sum and the counts per bucket too. `since` is where the time
-- begins that it tells of. An increment belongs to the moment before its point.
--   A restart (a lower value, or a start time after the last point) counts from 0. A start time that is its
--   point's own time is no restart: a Prometheus receiver writes it when it meets a series first.
--   The first point of a series counts from 0 only if it is known to have been 0: it started within the five
--   minutes looked back, or its resource had told of the same start before without this series (Envoy leaves
--   out what is still 0). Else it is only where counting begins.
create or replace macro metric_increments(from_time, to_time) as table
with followed as (
    select
        series_key, time, start_time, temporality, coalesce(value, count::double) as total, sum, bounds, bucket_counts,
        lag(time) over series as before_time, lag(coalesce(value, count::double)) over series as before_total,
        lag(sum) over series as before_sum, lag(bucket_counts) over series as before_counts,
        min(time) over (partition by resource_key, start_time) as told_since
    from metric_points_raw
    where series_key is not null and time > from_time::timestamp - interval 5 minutes and time <= to_time::timestamp
    window series as (partition by series_key order by time)
),
judged as (
    select *, case
        when temporality = 'delta' then case when before_time = time then 'nothing' else 'whole' end
        when start_time < time and (
            start_time > before_time or (before_time is null and (
                start_time > from_time::timestamp - interval 5 minutes or told_since < time - interval 1 second
            ))
        ) then 'whole'
        when before_time is null then 'nothing'
        when total < before_total then 'whole'
        else 'difference'
    end as counts
    from followed
    where time > from_time::timestamp
)
select
    series_key, time - interval 1 microsecond as moment,
    greatest(coalesce(greatest(before_time, start_time), time), time - interval 5 minutes) as since,
    case counts when 'whole' then total else total - before_total end as grown,
    case counts when 'whole' then sum else sum - before_sum end as grown_sum,
    bounds,
    case
        when len(bucket_counts) <> len(bounds) + 1 then null
        when counts = 'whole' then list_transform(bucket_counts, lambda one: one::bigint)
        when len(bucket_counts) = len(before_counts) then list_transform(
            list_zip(bucket_counts, before_counts), lambda pair: pair[1]::bigint - pair[2]::bigint
        )
    end as grown_counts
from judged
where counts <> 'nothing';
