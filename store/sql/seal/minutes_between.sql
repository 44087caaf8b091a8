-- Every minute that may have rows in a file which cannot be read.
select distinct "hour" + to_minutes(nth) as minute
from catalogue.activity, (select unnest(range(60))::integer as nth)
where (minutes >> nth::ubigint) & 1 = 1
  and "hour" >= date_trunc('hour', $earliest::timestamp) and "hour" <= $latest::timestamp
  and "hour" + to_minutes(nth) between date_trunc('minute', $earliest::timestamp) and $latest::timestamp
