-- A span's events with their attributes as maps.
list_transform(events, lambda event: struct_pack(
    time_ns := event.time_ns, "name" := event."name", attributes := {{attributes}},
    dropped_attributes_count := event.dropped_attributes_count
))
