-- Which edge each counted series that has points in the window belongs to, at a grain. Numbers as in `lanes`.
create or replace macro metric_lanes(from_time, to_time, grain) as table
with numbered as materialized (
    select end_no, left(md5(parts), 16) as id, md5_number_upper(parts) as node_no
    from (
        select end_no, node_parts(node) as parts
        from (select end_no, node_at(node, grain) as node from metric_ends())
    )
)
select
    series_key, family, protocol, caller.node_no as source_no, callee.node_no as target_no,
    md5_number_upper(concat_ws('|', caller.id, callee.id, protocol)) as edge_no,
    service_host as share_service, status_code, grpc_status, response_flags, tls
from series
join numbered as caller on caller.end_no = source_end
join numbered as callee on callee.end_no = target_end
where family is not null and series_key in (
    select series_key from metric_points_raw
    where series_key is not null and time > from_time::timestamp and time <= to_time::timestamp
);
