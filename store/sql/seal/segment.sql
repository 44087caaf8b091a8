-- One segment: by time, so that a trace lies in few row groups and a window reads few of them.
copy (select * from {{rows}} order by "time") to {{path}} (format parquet, compression zstd, row_group_size 100000)
