-- A span's links with their attributes as maps.
list_transform(links, lambda link: struct_pack(
    trace_id := link.trace_id, span_id := link.span_id, trace_state := link.trace_state, attributes := {{attributes}},
    dropped_attributes_count := link.dropped_attributes_count, flags := link.flags
))
