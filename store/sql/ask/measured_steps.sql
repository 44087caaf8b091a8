-- What exact percentiles are of, of some keys and step by step.
from measured_rows('observations_stored', 'spans_stored', $from_time, $to_time, $step_us, {{by_minute}})
semi join (select unnest($lanes::ubigint[]) as lane_key) using (lane_key)
