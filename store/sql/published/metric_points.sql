-- Data points of metrics (OTLP, scrapes), as they were sent.
create or replace view metric_points as
select
    metric_points_raw.* exclude (resource_key, series_key) replace (list_transform(exemplars, lambda exemplar: struct_pack(
        time_ns := exemplar.time_ns, "value" := exemplar."value", value_int := exemplar.value_int,
        trace_id := lower(hex(exemplar.trace_id)), span_id := printf('%016x', exemplar.span_id),
        attributes := exemplar.attributes
    )) as exemplars),
    resources.attributes as resource
from metric_points_raw
left join resources using (resource_key);
