-- What the catalogue holds besides the list of segments.
select
    (select count(*) from catalogue.edges_1m) as rollup_rows,
    (select min(minute) from catalogue.edges_1m) as rollup_earliest,
    (select max(minute) from catalogue.edges_1m) as rollup_latest,
    (select count(*) from catalogue.activity) as activity_rows,
    (select count(*) from catalogue.import_digests) as import_digests,
    (select count(*) from catalogue.retired) as retired_files
