-- Percentiles of `edge_facts` where rows tell them (`is_exact`): of each step and group of `place`, by its relations of
-- these names. `ask/rolled_up` puts an empty one before it.
create or replace macro row_percentiles(seen, found, uneven, loose_lane, place, grouped_lane, from_time, to_time, step_us)
as table
select
    bucket, group_no, null::varchar as signal,
    quantile_cont(duration_us, [0.5, 0.9, 0.95, 0.99])::double[] as quantiles_us
from (
    select bucket, group_no, duration_us
    from (
        select
            lane_key, step_of(time, from_time, to_time, step_us) as bucket, status_code, duration_us,
            case when lane_key in (select lane_key from query_table(uneven)) then epoch_us(time) // 3600000000 else -1 end
                as hour_no,
            case
                when lane_key in (select lane_key from query_table(uneven)) then minute_bit(time)
                else first_minutes(60)
            end as minute_bit
        from query_table(seen)
    ) as told
    join query_table(grouped_lane) as lane on lane.lane_key = told.lane_key and lane.hour_no = told.hour_no
        and minutes & minute_bit <> 0
    where duration_us is not null and status_code is distinct from 101
    union all
    select bucket, unnest(groups)::integer, duration_us
    from query_table(found) join query_table(loose_lane) using (lane_key, minute_no, linked)
    join query_table(place) using (edge_no, view, leg)
    where duration_us is not null and status_code is distinct from 101
)
where is_exact(from_time, to_time)
group by all;
