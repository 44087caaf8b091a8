-- What exact percentiles are of in a relation of access-log rows (see `measured_rows`), all of it or what lies in a window.
select peer_key, duration_us, epoch_us(time) as time_us
from {{rows}}
where duration_us is not null and status_code is distinct from 101
  and ({{is_all}} or (time >= $from_time::timestamp and time < $to_time::timestamp))
