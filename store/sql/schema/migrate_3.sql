-- 3 → 4: segments are merged and dropped, and what they leave behind is listed until it is unlinked; sums are no
-- hugeints, which DuckDB unpacks a hundred times slower.
create table if not exists {{known}}.retired (path varchar not null, retired_at timestamp not null);
create table if not exists {{known}}.trace_filters (path varchar not null, filter blob not null);
create table if not exists {{known}}.activity_1h ("hour" timestamp not null, peer_key ubigint not null, minutes ubigint not null);
insert into {{known}}.activity_1h
select date_trunc('hour', minute), peer_key, bit_or(1::ubigint << date_part('minute', minute)::ubigint)
from {{known}}.activity
group by all;
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
create table if not exists {{known}}.dropped_minutes (minute timestamp not null);
alter table {{known}}.edges_1m
    alter column duration_us_sum set data type bigint using least(duration_us_sum, 9223372036854775807)::bigint;
alter table {{known}}.edges_1m
    alter column request_bytes set data type bigint using least(request_bytes, 9223372036854775807)::bigint;
alter table {{known}}.edges_1m
    alter column response_bytes set data type bigint using least(response_bytes, 9223372036854775807)::bigint;
