-- One table as one Parquet file.
copy ({{rows}}) to {{path}} (format parquet, compression zstd, row_group_size 100000)
