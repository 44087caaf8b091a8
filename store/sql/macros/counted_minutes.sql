-- Is a step as long as its window?
create or replace macro is_one_step(from_time, to_time, step_us) as
    step_us >= epoch_us(to_time::timestamp) - epoch_us(from_time::timestamp);

-- Where the first step of a window begins: where the window does, but where percentiles come from whole minutes with
-- one of these, so that no step of whole minutes (or hours) cuts another.
create or replace macro steps_since(from_time, to_time, step_us) as
    case
        when is_exact(from_time, to_time) then from_time::timestamp
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
    case
        when is_one_step(from_time, to_time, step_us) then 0
        else (epoch_us(moment) - epoch_us(steps_since(from_time, to_time, step_us))) // step_us
    end;
