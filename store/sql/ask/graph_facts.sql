-- The facts of a graph or a series, each count with what became of its requests.
select
    * exclude (details),
    case when fact = 'count' then outcome(protocol, status_code, grpc_status, response_flags, details, $success) end
        as outcome
from edge_facts($from_time, $to_time, $grain, $step_us, $only_no::ubigint)
