-- What there is besides rows.
select
    (select count(*) from catalogue.edges_1m)::bigint + coalesce(sum(row_count), 0)::bigint as rollup_rows,
    least((select min(minute) from catalogue.edges_1m), min(min_time)) as rollup_earliest,
    greatest((select max(minute) from catalogue.edges_1m), date_trunc('minute', max(max_time))) as rollup_latest,
    coalesce(sum(byte_count), 0)::bigint as rollup_bytes,
    (select count(*) from catalogue.activity) as activity_rows,
    (select count(*) from catalogue.import_digests) as import_digests,
    (select count(*) from catalogue.retired) as retired_files
from catalogue.segments
where table_name = 'edges_1m'
