-- Which edge each pair of ends belongs to at a grain ('version' | 'workload' | 'app' | 'service' | 'instance'), for the
-- rows of relation `legs`. Numbers are ids: the first 16 hexadecimal digits of the md5 behind an id, read as a
-- little-endian number.
create or replace macro edges_of(legs, grain) as table
with numbered as materialized (
    -- Step by step: a macro writes its argument out at each mention of it, and the planner reads all of that.
    select end_no, left(md5(parts), 16) as id, md5_number_upper(parts) as node_no
    from (select end_no, node_parts(node) as parts from (select end_no, node_at(node, grain) as node from ends()))
)
select
    source, target, protocol, caller.node_no as source_no, callee.node_no as target_no,
    md5_number_upper(concat_ws('|', caller.id, callee.id, protocol)) as edge_no
from (select distinct source, target, protocol from query_table(legs))
join numbered as caller on caller.end_no = source
join numbered as callee on callee.end_no = target;

-- The legs minute by minute, with the edge each belongs to: what rows are joined with, by (lane_key, minute_no, linked).
-- `linked` lanes are for inbound rows that were matched to the caller's own row (see `claims`): they
-- are looked up by the caller's key and are the server's view of the caller's edge.
create or replace macro lanes(from_time, to_time, grain) as table
with told as materialized (
    from legs(from_time, to_time)
)
select
    peer_key as lane_key, epoch_us("hour") // 60000000 + minute as minute_no, linked, leg.leg, view, signal, protocol,
    source_no, target_no, edge_no, source as source_end, target as target_end, share_service, unlinked
from (
    select *, false as linked from told
    union all
    select * replace ('in' as leg, 'server' as view), true as linked from told
    where leg = 'out' and may_be_loose()
) as leg
join edges_of('told', grain) using (source, target, protocol),
    (select unnest(range(60)) as minute)
where (minutes >> minute::ubigint) & 1 = 1;
