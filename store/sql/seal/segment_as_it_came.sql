-- One segment of many rows, which a sort would write to disk first.
copy (from {{rows}}) to {{path}} (format parquet, compression zstd, compression_level 1, row_group_size 100000)
