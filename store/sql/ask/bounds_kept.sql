-- The macros of these names for one reader: what they answered once, instead of being written out at each mention.
create or replace temp macro counted_since(from_time, to_time, step_us) as {{counted_since}};
create or replace temp macro counted_until(from_time, to_time, step_us) as {{counted_until}};
create or replace temp macro steps_since(from_time, to_time, step_us) as {{steps_since}}
