-- What exact percentiles are of in one segment of access-log rows (see `measured_rows`).
select peer_key, duration_us, epoch_us(time) // 60000000 as minute_no
from read_parquet({{path}}, hive_partitioning = false)
where duration_us is not null and status_code is distinct from 101
