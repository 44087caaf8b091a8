-- What exact percentiles are of, by the key that finds its place: of the rows that are not kept as measurements.
from measured_rows('observations_rest', 'spans_rest', $from_time, $to_time, $step_us, {{by_minute}})
