-- The macro of this name for one reader, in whose window there are no spans: they need not be planned.
create temp macro told_rows(observed, traced, from_time, to_time) as table
from observed_rows(observed, from_time, to_time)
