-- In which minutes somebody reported requests or connections by metrics, as `metric_speakers` names them. What a
-- point counts happened before it: one at 12:01:00 belongs to the minute 12:00.
create or replace macro metric_voices(from_time, to_time) as table
select distinct
    standard, side, proxy, own_namespace, own_workload, own_app, peer_namespace, peer_workload, service_host, is_tcp,
    minute
from (
    select distinct series_key, date_trunc('minute', time - interval 1 microsecond) as minute
    from metric_points_raw
    where series_key is not null and time > from_time::timestamp and time <= to_time::timestamp
)
join metric_speakers() using (series_key)
where family = 'requests';
