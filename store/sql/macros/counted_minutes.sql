-- Is a step as long as its window?
create or replace macro is_one_step(from_time, to_time, step_us) as
    step_us >= epoch_us(to_time::timestamp) - epoch_us(from_time::timestamp);

-- Where the first step of a window begins: where the window does, but where percentiles come from whole minutes with
-- one of these, so that no step of whole minutes (or hours) cuts another.
create or replace macro steps_since(from_time, to_time, step_us) as
    case
        when is_exact(from_time, to_time) or is_one_step(from_time, to_time, step_us) then from_time::timestamp
        when step_us % 3600000000 = 0 then date_trunc('hour', from_time::timestamp)
        else date_trunc('minute', from_time::timestamp)
    end;

-- Which minutes of a window `edges_1m` may count: whole ones, [counted_since, counted_until), where a step is the
-- whole window or whole minutes; none ([to_time, to_time)) elsewhere.
create or replace macro counted_since(from_time, to_time, step_us) as
    case
        when is_one_step(from_time, to_time, step_us)
            or (
                step_us % 60000000 = 0 and date_trunc('minute', steps_since(from_time, to_time, step_us))
                    = steps_since(from_time, to_time, step_us)
            )
            then least(date_trunc('minute', from_time::timestamp + interval '59.999999 seconds'), to_time::timestamp)
        else to_time::timestamp
    end;

create or replace macro counted_until(from_time, to_time, step_us) as
    greatest(counted_since(from_time, to_time, step_us), date_trunc('minute', to_time::timestamp));

-- In which step of its window a moment lies.
create or replace macro step_of(moment, from_time, to_time, step_us) as
    (epoch_us(moment) - epoch_us(steps_since(from_time, to_time, step_us))) // step_us;

-- Which spans of `edges_merged` may stand for their minutes: those whole in [counted_since, counted_until) and in one
-- step. In a short window there is little to be won.
create or replace macro whole_spans(from_time, to_time, step_us) as table
select span_minutes, since, since + to_minutes(span_minutes) as until
from merged_minutes
where is_merged and not is_exact(from_time, to_time)
  and since >= counted_since(from_time, to_time, step_us)
  and since + to_minutes(span_minutes) <= counted_until(from_time, to_time, step_us)
  and step_of(since, from_time, to_time, step_us)
      = step_of(since + to_minutes(span_minutes) - interval 1 microsecond, from_time, to_time, step_us);

-- Of these those that lie in no longer one.
create or replace macro largest_of(spans) as table
from query_table(spans)
anti join (
    select small.span_minutes, small.since
    from query_table(spans) as small
    cross join (select distinct span_minutes as large_minutes from query_table(spans))
    join query_table(spans) as large on large.span_minutes = large_minutes
        and large.since = time_bucket(to_minutes(large_minutes), small.since)
    where large_minutes > small.span_minutes
) using (span_minutes, since);

-- Between which of its ends a window has spans of a length (1: minutes): up to `head_until` and from `tail_since`. Half
-- of it each; a reader that has looked knows better (`ask/bounds_kept`).
create or replace macro head_until(length, from_time, to_time) as
    from_time::timestamp + (to_time::timestamp - from_time::timestamp) / 2;

create or replace macro tail_since(length, from_time, to_time) as
    from_time::timestamp + (to_time::timestamp - from_time::timestamp) / 2;
