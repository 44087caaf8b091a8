-- Entries as a map; of a doubled key the first value counts, as a map may not hold both.
case
    when len({{entries}}) = list_unique(list_transform({{entries}}, lambda entry: entry.key)) then map_from_entries({{entries}})
    else map_from_entries(list_transform(
        list_distinct(list_filter(list_transform({{entries}}, lambda entry: entry.key), lambda k: k is not null)),
        lambda k: struct_pack("key" := k, "value" := list_extract(list_filter({{entries}}, lambda entry: entry.key = k), 1).value)
    ))
end
