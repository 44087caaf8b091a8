-- When the newest requests of an edge or node began: what a page has to read whole. Narrow columns only.
select epoch_us(time) as time_us
from lane_rows($from_time, $to_time, $grain)
where view = $view
  and ($number is null or edge_no = $number::ubigint or target_no = $number::ubigint
       or (not $is_called and source_no = $number::ubigint))
  and ($trace_id is null or trace_id = $trace_id::uuid)
  and ($outcome is null
       or outcome(protocol, status_code, grpc_status, response_flags, response_code_details, $success) = $outcome)
  and ($before_time is null or time < $before_time::timestamp)
order by time desc
limit $limit
