-- The nodes that the ends of counted series stand for, at their finest grain: a workload that rows know too is
-- *their* node (an id is made of cluster, workload and version, of which labels may tell more or less), so that
-- one graph holds both.
create or replace macro metric_ends() as table
with instance as (
    select emitter as proxy, since, make_node(
        case when node_type in ('router', 'waypoint') then 'gateway' else 'workload' end,
        cluster, namespace, coalesce(workload, app, pod_workload(pod), service, proxy), app, version, service,
        coalesce(pod, proxy)
    ) as node
    from proxy_history
),
known as materialized (
    select node.namespace as namespace, node.workload as workload, list(node order by node.version, node.cluster) as nodes
    from (
        select distinct on (node_parts(node)) node
        from (select node_at(node, 'version') as node from ends())
        where node.kind in ('workload', 'gateway') and node.workload is not null
    )
    group by all
),
subset_of as (
    select node.service as service, node.version as version, max(node) as node
    from (select unnest(nodes) as node from known)
    where node.service is not null and node.version is not null
    group by all
    having count(distinct node.workload) = 1
),
told as (
    select
        source_end as end_no, source_cluster as cluster, source_namespace as namespace, source_workload as workload,
        source_app as app, source_version as version, null::varchar as host, null::varchar as subset
    from series
    where family is not null and standard = 'istio'
    union all
    select
        target_end, destination_cluster, destination_namespace, destination_workload, destination_app,
        destination_version, service_host, subset
    from series
    where family is not null
),
single as (
    select
        end_no, max(cluster) as cluster, max(namespace) as namespace, max(workload) as workload, max(app) as app,
        max(version) as version, max(host) as host, max(subset) as subset
    from told
    group by end_no
),
matched as (
    select
        single.*, subset_of.node as subset_node,
        list_filter(coalesce(nodes, []), lambda one: coalesce(one.cluster = single.cluster, true)) as nodes
    from single
    left join known using (namespace, workload)
    left join subset_of on subset_of.service = host and subset_of.version = subset
)
select end_no, case
    when workload is not null then coalesce(
        list_filter(nodes, lambda one: one.version is not distinct from version)[1],
        case when len(nodes) = 1 and (version is null or nodes[1].version is null) then nodes[1] end,
        make_node(coalesce(nodes[1].kind, 'workload'), cluster, namespace, workload, app, version, host, null)
    )
    when app is not null and host is null then make_node('workload', cluster, namespace, null, app, version, null, null)
    when host is null then unknown_node(null)
    when subset is not null then coalesce(
        subset_node,
        make_node('workload', null, host_namespace(host), null, split_part(host, '.', 1), subset, host, null)
    )
    when host_namespace(host) is not null then service_node(host)
    else make_node('external', null, null, null, null, null, host, null)
end as node
from matched
union all
-- Envoy's own statistics name no caller: it is the proxy that reported them.
select hash('emitter', emitter), coalesce(
    arg_max(instance.node, instance.since),
    case
        when starts_with(emitter, '@') then unknown_node(emitter[2:])
        else make_node(
            'workload', null, emitter_namespace(emitter), pod_workload(emitter_pod(emitter)), null, null, null,
            emitter_pod(emitter)
        )
    end
)
from (select distinct emitter from series where standard = 'envoy' and family is not null) as reported
left join instance on instance.proxy = reported.emitter
group by emitter;
