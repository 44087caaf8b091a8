-- 3 → 4: segments are merged and dropped, and what they leave behind is listed until it is unlinked; sums are no
-- hugeints, which DuckDB unpacks a hundred times slower.
create table if not exists {{known}}.retired (path varchar not null, retired_at timestamp not null);
create table if not exists {{known}}.trace_filters (path varchar not null, filter blob not null);
create table if not exists {{known}}.dropped_minutes (minute timestamp not null);
alter table {{known}}.edges_1m
    alter column duration_us_sum set data type bigint using least(duration_us_sum, 9223372036854775807)::bigint;
alter table {{known}}.edges_1m
    alter column request_bytes set data type bigint using least(request_bytes, 9223372036854775807)::bigint;
alter table {{known}}.edges_1m
    alter column response_bytes set data type bigint using least(response_bytes, 9223372036854775807)::bigint;
