-- Several segments as one; `replaces` says which, so that the files alone tell which rows are there twice.
copy (select * from ({{rows}}) order by "time")
to {{path}} (
    format parquet, compression zstd, compression_level 1, row_group_size 100000,
    kv_metadata {replaces: {{replaces}}}
)
