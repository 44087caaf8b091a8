-- One segment, ordered by time: a trace lies in few row groups, and its ids compress.
copy (select * from {{rows}} order by "time") to {{path}} (format parquet, compression zstd, compression_level 1, row_group_size 100000)
