-- Several segments as one, in the order they are given; `replaces` says which, so that the files alone tell which
-- rows are there twice. Not sorted: each is, or nearly, and a sort of all would take its memory from the questions.
copy (from {{rows}})
to {{path}} (
    format parquet, compression zstd, compression_level 1, row_group_size {{group_rows}},
    kv_metadata {replaces: {{replaces}}}
)
