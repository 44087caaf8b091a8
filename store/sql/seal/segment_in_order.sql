-- One segment, ordered (`segments.py` says by what).
copy (select * from {{rows}} order by {{order}}) to {{path}} (format parquet, compression zstd, compression_level 1, row_group_size 100000)
