-- Every row that may count, as an observation: what proxies reported, and applications' spans where no proxy did.
create or replace macro counted_rows(from_time, to_time) as table
from observed(from_time, to_time)
union all by name
from span_calls(from_time, to_time);
