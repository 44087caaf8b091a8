-- The same of spans that count as access-log rows do.
select peer_key, duration_ns // 1000 as duration_us, epoch_us(time) as time_us
from {{rows}}
where duration_ns is not null and status_code is distinct from 101 and peer_key is not null
  and ({{is_all}} or (time >= $from_time::timestamp and time < $to_time::timestamp))
