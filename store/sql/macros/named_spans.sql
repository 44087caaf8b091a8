-- Spans with the name people know their service by: an application's `service.name`, and for a proxy the
-- app (else the workload) it stands in front of.
create or replace macro named_spans() as table
select
    spans.*, here.workload, here.namespace, here.version,
    case when spans.is_proxy then coalesce(here.app, here.workload, spans.service_name) else spans.service_name end
        as service,
    span_failed(spans.status, spans.is_proxy, spans.status_code, spans.grpc_status) as failed
from spans_raw as spans
left join proxy_history as here
    on here.emitter = spans.emitter
    and date_trunc('minute', spans.time) + interval '59.999999 seconds' >= here.since
    and date_trunc('minute', spans.time) + interval '59.999999 seconds' < here.until;
