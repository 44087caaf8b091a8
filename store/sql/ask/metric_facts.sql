-- The same from metrics, where they count.
select
    * exclude (details),
    case when fact = 'count' then outcome(protocol, status_code, grpc_status, response_flags, details, $success) end
        as outcome
from metric_facts($from_time, $to_time, $grain, $step_us, $only_no::ubigint)
