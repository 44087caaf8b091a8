-- The macros of these names for one reader, where every row shows its caller: nothing is claimed.
create temp macro may_be_loose() as false;
create temp macro claims(loose, calling, from_time, to_time) as table
select
    null::ubigint as peer_key, null::timestamp as time, null::varchar as request_id,
    null::varchar as downstream_local_address, null::ubigint as caller_key, null::bigint as caller_minute_no
where false
