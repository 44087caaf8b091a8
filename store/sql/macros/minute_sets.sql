-- Sets of minutes of an hour, as the 60 lower bits of a number. What the counting rules say of minutes they say of
-- sets: an hour of a peer is one row, however many of its minutes are alike.

-- The first `n` minutes of an hour.
create or replace macro first_minutes(n) as (1::ubigint << n::ubigint) - 1;

create or replace macro minute_bit(moment) as 1::ubigint << date_part('minute', moment)::ubigint;

-- The minutes of an hour that begin in [since, until), both whole minutes.
create or replace macro minutes_within("hour", since, until) as
    case
        when since <= "hour" and until >= "hour" + interval 1 hour then first_minutes(60)
        else
            first_minutes(date_diff('minute', "hour", least(greatest(until, "hour"), "hour" + interval 1 hour)))
            & xor(
                first_minutes(60),
                first_minutes(date_diff('minute', "hour", least(greatest(since, "hour"), "hour" + interval 1 hour)))
            )
    end;

-- The same of someone's stay; all of them where nobody is known.
create or replace macro minutes_held("hour", since, until) as
    case when since is null then first_minutes(60) else minutes_within("hour", since, until) end;

create or replace macro minutes_without(minutes, others) as xor(minutes, minutes & coalesce(others, 0::ubigint));

-- The sets of a relation (`hour`, `minutes`, and whatever else), each with as many minutes before and after as
-- `steps`: several rows, which add up by bit_or.
create or replace macro minutes_around(sets, steps) as table
select * exclude (step, part) replace (part.hour as "hour", part.minutes as minutes)
from (
    select *, unnest(case
        when step = 0 then [struct_pack("hour" := "hour", minutes := minutes)]
        when step > 0 then [
            struct_pack("hour" := "hour", minutes := (minutes & first_minutes(60 - step)) << step::ubigint),
            struct_pack("hour" := "hour" + interval 1 hour, minutes := minutes >> (60 - step)::ubigint)
        ]
        else [
            struct_pack("hour" := "hour", minutes := minutes >> (-step)::ubigint),
            struct_pack("hour" := "hour" - interval 1 hour, minutes := (minutes & first_minutes(-step)) << (60 + step)::ubigint)
        ]
    end) as part
    from query_table(sets), (select unnest(range(-steps, steps + 1)) as step)
)
where part.minutes <> 0;

-- In which minutes of each hour each peer was heard, of the minutes [since, until).
create or replace macro heard_minutes(since, until) as table
select peer_key, "hour", bit_or(minutes) as minutes
from (
    select peer_key, "hour", minutes & minutes_within("hour", since, until) as minutes
    from activity
    where "hour" >= date_trunc('hour', since) and "hour" < until
)
where minutes <> 0
group by peer_key, "hour";

-- The next whole minute, or this one.
create or replace macro minute_after(moment) as date_trunc('minute', moment + interval '59.999999 seconds');

-- The same minute by minute, of the minutes that begin in [since, until).
create or replace macro minutes_of(since, until) as table
select peer_key, "hour" + to_minutes(nth::integer) as minute
from heard_minutes(minute_after(since), minute_after(until)), (select unnest(range(60)) as nth)
where (minutes >> nth::ubigint) & 1 = 1;
