-- The macros of these names for one reader: what they answered once, instead of being written out at each mention.
create or replace temp macro counted_since(from_time, to_time, step_us) as {{counted_since}};
create or replace temp macro counted_until(from_time, to_time, step_us) as {{counted_until}};
create or replace temp macro steps_since(from_time, to_time, step_us) as {{steps_since}};
create or replace temp macro step_of(moment, from_time, to_time, step_us) as
    case when {{is_one_step}} then 0 else (epoch_us(moment) - epoch_us({{steps_since}})) // step_us end;
create or replace temp macro head_until(length, from_time, to_time) as
    case length
        when 1 then {{minutes_until}} when 10 then {{tens_until}} when 60 then {{hours_until}} else {{quarters_until}}
    end;
create or replace temp macro tail_since(length, from_time, to_time) as
    case length
        when 1 then {{minutes_since}} when 10 then {{tens_since}} when 60 then {{hours_since}} else {{quarters_since}}
    end
