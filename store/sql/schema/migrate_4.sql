-- 4 → 5: who was heard in which minutes is kept by the hour, and the rollup is merged over spans of minutes.
create table {{known}}.activity_by_hour ("hour" timestamp not null, peer_key ubigint not null, minutes ubigint not null);
insert into {{known}}.activity_by_hour
select date_trunc('hour', minute), peer_key, bit_or(1::ubigint << date_part('minute', minute)::ubigint)
from {{known}}.activity
group by all;
drop table {{known}}.activity;
alter table {{known}}.activity_by_hour rename to activity;
create table if not exists {{known}}.edges_merged (
    span_minutes integer not null, since timestamp not null, peer_key ubigint not null, status_code integer,
    grpc_status integer, response_flags varchar, details_class varchar, tls varchar, "rows" bigint not null,
    duration_us_sum bigint, duration_rows bigint not null, latency map(integer, ubigint),
    request_bytes bigint, response_bytes bigint, attempts bigint, attempts_rows bigint
);
create table if not exists {{known}}.merged_minutes (
    span_minutes integer not null, since timestamp not null, is_merged boolean not null
);
insert into {{known}}.merged_minutes
select distinct span_minutes, time_bucket(to_minutes(span_minutes), minute), false
from (select distinct minute from {{known}}.edges_1m), (select unnest([10, 60, 360, 1440]) as span_minutes);
