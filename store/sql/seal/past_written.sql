-- Those, as they came: nearly in order. A row has some fifty buckets of latency: small row groups.
copy (
    from catalogue.{{counts}}
    where {{begin}} + to_minutes({{length}}) > $since::timestamp
      and {{begin}} + to_minutes({{length}}) <= $before::timestamp
)
to {{path}} (format parquet, compression zstd, compression_level 1, row_group_size 61440)
