-- A point's exemplars with their attributes as maps.
list_transform(exemplars, lambda exemplar: struct_pack(
    time_ns := exemplar.time_ns, "value" := exemplar."value", value_int := exemplar.value_int,
    trace_id := exemplar.trace_id, span_id := exemplar.span_id, attributes := {{attributes}}
))
