-- Everything the graph and the time series count, in one pass per question and as few groups as possible.
--   fact 'count'    per edge, view, leg, signal, called service and kind of answer: sums
-- and what percentiles are made of (`store.measured`), where they are exact the rows of `measured_rows` beside it:
--        'place'    an edge, view and leg, by a small number; `target_no` is the called node (with `only_no`: that one)
--        'lane'     at which place a key counts, in which hour (-1: always) and minutes of it
--        'row'      a measurement at a place, of rows that do not show their caller
--        'buckets'  how many measurements lie in which buckets of latency, at a key's place or at one
-- `bucket` counts steps of `step_us` since `from_time` (one step as long as the window: always 0).
-- `only_no` keeps the edge with that number, or the edges into the node with that number (out of it, where
-- nobody calls it); null keeps all.
-- Upgrades (101) are sessions: no latency.
--
-- What makes it quick: of whole minutes that are sealed the rollup has the counts, and of windows that are not
-- `is_exact` the percentiles too, merged over spans of minutes where a window has these whole; so only short windows
-- read every row. Rows and rollup are counted by (peer_key, kind of answer) *before* they meet the lanes, by
-- integers and short strings. Nearly every peer means the same in every minute of the window; of the others (`uneven`)
-- each hour is taken whole if its minutes are alike, else minute by minute. TCP is told apart by its details, too.
create or replace macro edge_facts(from_time, to_time, grain, step_us, only_no) as table
with told as materialized (
    from legs(from_time, to_time)
),
meaning as materialized (
    select
        peer_key as lane_key, leg, view, any_value(signal) as signal, any_value(protocol) as protocol, source, target,
        share_service, unlinked, sum(bit_count(minutes)) as minutes
    from told
    group by lane_key, leg, view, source, target, share_service, unlinked
),
meant as materialized (
    from meaning join edges_of('meaning', grain) using (source, target, protocol)
),
asked as materialized (
    from meant
    where only_no is null or edge_no = only_no or target_no = only_no
       or (source_no = only_no and only_no not in (select target_no from meant))
),
active as materialized (
    select peer_key as lane_key, "hour", minutes
    from heard_minutes(
        date_trunc('minute', from_time::timestamp) - interval 1 minute, minute_after(to_time::timestamp + interval 1 minute)
    )
),
uneven as materialized (
    -- Lanes of applications' spans have keys that `activity` does not know.
    select distinct lane_key
    from asked
    left join (select lane_key, sum(bit_count(minutes)) as minutes from active group by lane_key) as active
        using (lane_key)
    where asked.minutes is distinct from active.minutes and not unlinked
),
hour_lane as materialized (
    select
        asked.lane_key, told.hour, asked.leg, asked.view, asked.signal, asked.protocol, source_no, target_no, edge_no,
        asked.share_service, bit_or(told.minutes) as minutes
    from told
    join (from asked semi join uneven using (lane_key)) as asked
        on asked.lane_key = told.peer_key and asked.leg = told.leg and asked.view = told.view
        and asked.source = told.source and asked.target = told.target and asked.unlinked = told.unlinked
        and asked.share_service is not distinct from told.share_service
    where not told.unlinked
    group by all
),
-- Of those the hours whose minutes are not alike.
odd as materialized (
    select distinct lane_key, "hour"
    from hour_lane join active using (lane_key, "hour")
    where hour_lane.minutes <> active.minutes and lane_key in (select lane_key from uneven)
),
detailed as materialized (
    select lane_key from uneven union select lane_key from asked where protocol = 'tcp'
),
-- What is counted of a key finds its lanes by the hour (-1: all are alike) and the minute (a bit; all of them where
-- a whole hour or more is counted).
known_lane as materialized (
    select distinct
        lane_key, -1 as hour_no, first_minutes(60) as minutes, leg, view, signal, protocol, source_no, target_no, edge_no,
        share_service
    from asked anti join uneven using (lane_key)
    where not unlinked
    union all by name
    select epoch_us("hour") // 3600000000 as hour_no, * exclude ("hour")
    from hour_lane semi join uneven using (lane_key)
),
called as materialized (
    select
        peer_key, time, status_code, grpc_status, response_code_details, duration_us, request_bytes, response_bytes
    from span_calls(from_time, to_time)
),
-- The rows no rollup has counted: those of minutes that the window cuts, and those not sealed yet.
uncounted as not materialized (
    from told_rows('observations_stored', 'spans_stored', from_time, counted_since(from_time, to_time, step_us))
    union all
    from told_rows('observations_stored', 'spans_stored', counted_until(from_time, to_time, step_us), to_time)
    union all
    from told_rows(
        'observations_unsealed', 'spans_unsealed',
        counted_since(from_time, to_time, step_us), counted_until(from_time, to_time, step_us)
    )
    union all by name
    select peer_key as lane_key, * exclude (peer_key) from called
),
-- Which spans of merged minutes are whole in the window (and in a step of it), and of those the largest.
span as materialized (
    from whole_spans(from_time, to_time, step_us)
),
chosen as materialized (
    select *, true as is_open, false as is_apart from largest_of('span')
),
-- Of the uneven keys every hour is read.
beside as materialized (
    select *, false as is_open, false as is_apart
    from span anti join chosen using (span_minutes, since)
    where span_minutes = 60 and exists (from uneven)
),
-- The minutes that are read as such: `is_open` ones of every key that is alike throughout, `is_apart` ones of
-- the uneven, and of these those of odd hours.
single as materialized (
    select minute, covered.minute is null as is_open, whole.since is null as is_apart
    from (
        select "hour" + to_minutes(nth::integer) as minute
        from (select distinct "hour" from active), (select unnest(range(60)) as nth)
        where minute >= counted_since(from_time, to_time, step_us) and minute < counted_until(from_time, to_time, step_us)
    )
    left join (
        select distinct unnest(range(since, until, interval 1 minute)) as minute from chosen
    ) as covered using (minute)
    left join (from span where span_minutes = 60) as whole on whole.since = date_trunc('hour', minute)
    where covered.minute is null or (
        exists (from uneven) and (whole.since is null or date_trunc('hour', minute) in (select "hour" from odd))
    )
),
rolled as materialized (
    select
        peer_key as lane_key, case when is_uneven then epoch_us(since) // 3600000000 else -1 end as hour_no,
        case when is_uneven and span_minutes = 1 then minute_bit(since) else first_minutes(60) end as minute_bit,
        step_of(since, from_time, to_time, step_us) as bucket, status_code, grpc_status, response_flags, tls,
        case when status_code is null then details_class end as details, "rows" as requests,
        duration_us_sum as duration_us, duration_rows as timed, attempts, attempts_rows as attempts_known,
        request_bytes, response_bytes, latency
    from (
        select *, peer_key in (select lane_key from uneven) as is_uneven
        from rollup_rows('chosen', 'beside', 'single', from_time, to_time)
    )
    where case
        when not is_uneven then is_open
        when span_minutes = 60 then (peer_key, since) not in (select (lane_key, "hour") from odd)
        when span_minutes = 1
            then is_apart or (peer_key, date_trunc('hour', since)) in (select (lane_key, "hour") from odd)
        else false
    end
),
found as materialized (
    from found_rows('told', 'meaning', from_time, to_time, step_us)
),
loose_lane as materialized (
    from loose_lanes('told', 'asked')
),
counted as (
    -- `in` as a value, not as a condition: as one the planner, who cannot know how few keys are uneven,
    -- would rather build its hash table from every row of the window.
    select
        lane_key,
        case when lane_key in (select lane_key from uneven) then epoch_us(time) // 3600000000 else -1 end as hour_no,
        case when lane_key in (select lane_key from uneven) then minute_bit(time) else first_minutes(60) end as minute_bit,
        step_of(time, from_time, to_time, step_us) as bucket, status_code, grpc_status, response_flags, tls,
        case when lane_key in (from detailed) and status_code is null then response_code_details end as details,
        count(*) as requests, saturated(sum(duration_us)) as duration_us, count(duration_us) as timed,
        sum(attempts)::bigint as attempts, count(attempts) as attempts_known,
        saturated(sum(request_bytes)) as request_bytes, saturated(sum(response_bytes)) as response_bytes
    from uncounted
    group by all
    union all
    select * exclude (latency) from rolled
),
tallied as (
    select counted.* exclude (lane_key, hour_no, minute_bit), known_lane.* exclude (lane_key, hour_no, minutes)
    from counted join known_lane on known_lane.lane_key = counted.lane_key and known_lane.hour_no = counted.hour_no
        and known_lane.minutes & minute_bit <> 0
    union all by name
    select
        * exclude (lane_key, minute_no, linked, duration_us, attempts),
        1 as requests, duration_us, (duration_us is not null)::bigint as timed,
        attempts, (attempts is not null)::bigint as attempts_known
    from found join loose_lane using (lane_key, minute_no, linked)
),
-- What percentiles are of, by small numbers.
place as materialized (
    select row_number() over ()::integer as place_no, *
    from (
        select edge_no, coalesce(only_no, target_no) as called_no, view, leg from known_lane
        union
        select edge_no, coalesce(only_no, target_no), view, leg from loose_lane
    )
),
loosely_measured as not materialized (
    select bucket, place_no, duration_us
    from found join loose_lane using (lane_key, minute_no, linked) join place using (edge_no, view, leg)
    where duration_us is not null and status_code is distinct from 101
)
select
    'count' as fact, bucket, edge_no, source_no, target_no, protocol, view, leg, signal, share_service,
    status_code, grpc_status, response_flags, details, tls,
    sum(requests)::bigint as requests, saturated(sum(duration_us)) as duration_us, sum(timed)::bigint as timed,
    sum(attempts)::bigint as attempts, sum(attempts_known)::bigint as attempts_known,
    saturated(sum(request_bytes)) as request_bytes, saturated(sum(response_bytes)) as response_bytes
from tallied
group by all
union all by name
select 'place' as fact, place_no, edge_no, called_no as target_no, view, leg from place
union all by name
select distinct 'lane' as fact, lane_key, hour_no, minutes, place_no from known_lane join place using (edge_no, view, leg)
union all by name
select 'row' as fact, bucket, place_no, duration_us from loosely_measured where is_exact(from_time, to_time)
union all by name
from bucket_facts('rolled', 'uncounted', 'uneven', 'loosely_measured', from_time, to_time, step_us);
