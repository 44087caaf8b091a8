-- What the store must not forget, beside the segments themselves. Changed only in the one transaction of
-- a seal. No primary keys: DuckDB replays a WAL with large indexes slowly, and we insert what is new only.
create table if not exists {{known}}.about (key varchar not null, value varchar not null);

-- One row per Parquet file under segments/.
create table if not exists {{known}}.segments (
    table_name varchar not null, path varchar not null, journal varchar not null,
    row_count bigint not null, byte_count bigint not null,
    min_time timestamp, max_time timestamp, sealed_at timestamp not null
);

-- Files that no list names any more, until nobody can be reading them.
create table if not exists {{known}}.retired (path varchar not null, retired_at timestamp not null);

-- Which traces a segment of spans may hold; a segment without one may hold any.
create table if not exists {{known}}.trace_filters (path varchar not null, filter blob not null);

-- Journal files whose rows lie in segments; a file still in the folder under such a name is only unlinked.
create table if not exists {{known}}.sealed_journals (name varchar not null, sealed_at timestamp not null);

-- Digests of exports whose rows are sealed: remembered for an hour, those of imports for ever.
create table if not exists {{known}}.delivered (digest uuid not null, received timestamp not null);
create table if not exists {{known}}.import_digests (digest uuid not null, received timestamp not null);

-- The dictionary behind `peer_key`, the counts per minute, who was at which address, and resources.
create table if not exists {{known}}.peers (
    peer_key ubigint not null, signal varchar, reporter varchar, emitter varchar, source_ip varchar,
    destination_ip varchar, service_host varchar, service_port integer, subset varchar, protocol varchar,
    source_principal varchar, upstream_cluster varchar,
    target_kind varchar, target_system varchar, target_name varchar, background varchar
);
-- In which minutes of an hour a peer was heard (bits, see `minute_sets`). Several rows of a pair add up by bit_or.
create table if not exists {{known}}.activity ("hour" timestamp not null, peer_key ubigint not null, minutes ubigint not null);
create table if not exists {{known}}.identity_facts (
    emitter varchar, address varchar, evidence varchar, first_time timestamp, last_time timestamp,
    node_type varchar, cluster varchar, namespace varchar, pod varchar, workload varchar, app varchar,
    version varchar, service varchar, service_account varchar, zone varchar
);
create table if not exists {{known}}.stints (
    address varchar not null, emitter varchar not null, valid_from timestamp not null, last_time timestamp not null
);
create table if not exists {{known}}.resources_stored (
    resource_key ubigint not null, attributes struct("key" varchar, "value" varchar)[], schema_url varchar,
    dropped_attributes_count uinteger
);

-- Counts per minute, peer and kind of answer; latency as counts per bucket floor(ln(us) / ln(1.02)). No hugeint:
-- DuckDB unpacks a column of them a hundred times slower.
create table if not exists {{known}}.edges_1m (
    minute timestamp not null, peer_key ubigint not null, status_code integer, grpc_status integer,
    response_flags varchar, details_class varchar, tls varchar, "rows" bigint not null,
    duration_us_sum bigint, duration_rows bigint not null, latency map(integer, ubigint),
    request_bytes bigint, response_bytes bigint, attempts bigint, attempts_rows bigint
);

-- Of past hours both tables of the rollup lie in segments (`store/rollup_files.py`).
-- `edges_1m` merged over spans of minutes (10, 60, 360, 1440), and which spans there are: one that is not merged yet
-- has no rows; one that is has all of them, those that came late in rows of their own.
create table if not exists {{known}}.edges_merged (
    span_minutes integer not null, since timestamp not null, peer_key ubigint not null, status_code integer,
    grpc_status integer, response_flags varchar, details_class varchar, tls varchar, "rows" bigint not null,
    duration_us_sum bigint, duration_rows bigint not null, latency map(integer, ubigint),
    request_bytes bigint, response_bytes bigint, attempts bigint, attempts_rows bigint
);
create table if not exists {{known}}.merged_minutes (
    span_minutes integer not null, since timestamp not null, is_merged boolean not null
);

-- Minutes of which rows were dropped or lost: their counts stay.
create table if not exists {{known}}.dropped_minutes (minute timestamp not null);

-- The dictionary behind `series_key`: what each counted series of a metric says about who called whom.
create table if not exists {{known}}.series (
    series_key ubigint not null, family varchar, standard varchar, emitter varchar, reporter varchar, protocol varchar,
    source_cluster varchar, source_namespace varchar, source_workload varchar, source_app varchar,
    source_version varchar, source_principal varchar, destination_cluster varchar, destination_namespace varchar,
    destination_workload varchar, destination_app varchar, destination_version varchar,
    destination_principal varchar, service_host varchar, subset varchar, status_code integer, grpc_status integer,
    response_flags varchar, tls varchar, source_end ubigint, target_end ubigint
);
