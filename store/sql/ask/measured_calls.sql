-- The same of applications' spans.
select peer_key, duration_us, epoch_us(time) as time_us
from span_calls($from_time, $to_time)
where duration_us is not null and status_code is distinct from 101
