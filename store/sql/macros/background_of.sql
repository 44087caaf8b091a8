-- What no user asked for: 'probe' (health checks of kubelets and load balancers), 'scrape' (Prometheus and its like),
-- 'export' (telemetry on its way to a collector), 'proxy' (a sidecar's own connections, and the listeners within a
-- ztunnel or waypoint, which repeat a request). Null for everything else. By what the row says, never by a guess from
-- its path: /healthz may be called by a user.
create or replace macro background_of(user_agent, path, upstream_cluster) as
    case
        when upstream_cluster in (
            'agent', 'prometheus_stats', 'sds-grpc', 'xds-grpc', 'zipkin', 'connect_originate', 'main_internal', 'encap'
        ) then 'proxy'
        when starts_with(path, '/opentelemetry.proto.collector.') or starts_with(path, '/envoy.service.') then 'export'
        when user_agent = 'Envoy/HC' then 'probe'
        when starts_with(user_agent, 'OTel-OTLP-Exporter') or starts_with(user_agent, 'OTel OTLP Exporter') then 'export'
        when split_part(user_agent, '/', 1) in ('kube-probe', 'GoogleHC', 'ELB-HealthChecker', 'Consul Health Check')
            then 'probe'
        when split_part(user_agent, '/', 1) in (
            'Prometheus', 'vmagent', 'vm_promscrape', 'Alloy', 'GrafanaAgent', 'Grafana Agent', 'Telegraf', 'Datadog Agent'
        ) then 'scrape'
    end;

-- Does a question count such traffic? Not unless its connection says `set variable show_background = true`.
create or replace macro counts_background(background) as
    background is null or coalesce(getvariable('show_background')::boolean, false);
