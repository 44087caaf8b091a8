-- Log records of applications (OTLP).
create or replace view logs as
select
    time, time_ns, observed_time, severity_number, severity_text, body, event_name,
    replace(trace_id::varchar, '-', '') as trace_id,
    case when span_id is not null then printf('%016x', span_id) end as span_id,
    flags, service_name, scope_name, scope_version, scope_attributes, scope_schema_url,
    logs_raw.attributes, resources.attributes as resource,
    logs_raw.dropped_attributes_count
from logs_raw
left join resources using (resource_key);
