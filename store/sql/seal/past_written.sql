-- Those, as they came: nearly in order. A row has some hundred buckets of latency, so row groups are small.
copy (
    from catalogue.{{counts}}
    where {{begin}} + to_minutes({{length}}) > $since::timestamp
      and {{begin}} + to_minutes({{length}}) <= $before::timestamp
)
to {{path}} (format parquet, compression zstd, compression_level 1, row_group_size 20480)
