-- The registry as readers see it: who was at an address, from when until when. Of each field the value of
-- the best evidence counts (names file, ALS node, span or metric labels, resource or peer metadata, file, SNI). An instance is one emitter,
-- whatever address a fact named; facts about a bare address belong to whoever held it then.
with ranked as (
    select
        *,
        case evidence
            when 'names' then 9 when 'als_node' then 5 when 'span' then 4 when 'metric' then 4 when 'resource' then 3
            when 'peer' then 3 when 'file' then 2 else 1
        end * 100000000000000000 + epoch_us(last_time) as weight
    from {{facts}}
),
held as (
    select
        address, emitter, valid_from,
        lead(valid_from) over holders as valid_to,
        case when row_number() over holders = 1 then timestamp '-infinity' else valid_from end as since
    from {{stints}}
    window holders as (partition by address order by valid_from, emitter)
),
attributed as (
    select
        ranked.* exclude (emitter),
        coalesce(ranked.emitter, held.emitter) as emitter,
        case when coalesce(ranked.emitter, held.emitter) is null then ranked.address end as lone_address
    from ranked
    left join held
        on ranked.emitter is null and held.address = ranked.address
        and ranked.last_time >= held.since and (held.valid_to is null or ranked.last_time < held.valid_to)
),
named as (
    select
        emitter, lone_address, min(first_time) as first_time,
        arg_max(cluster, weight) as cluster,
        coalesce(arg_max(namespace, weight), nullif(regexp_extract(emitter, '\.([^.]+)$', 1), '')) as namespace,
        coalesce(arg_max(pod, weight), nullif(regexp_extract(emitter, '^(.+)\.[^.]+$', 1), '')) as pod,
        arg_max(workload, weight) as workload, arg_max(app, weight) as app, arg_max(version, weight) as version,
        arg_max(service, weight) as service, arg_max(service_account, weight) as service_account,
        arg_max(zone, weight) as zone, arg_max(node_type, weight) as node_type, arg_max(evidence, weight) as evidence
    from attributed
    group by emitter, lone_address
)
select
    held.address, named.emitter, held.valid_from, held.valid_to,
    named.cluster, named.namespace, named.pod, named.workload, named.app, named.version, named.service,
    named.service_account, named.zone, named.node_type, named.evidence
from named
join held on held.emitter = named.emitter
union all
select
    lone_address, emitter, first_time, null,
    cluster, namespace, pod, workload, app, version, service, service_account, zone, node_type, evidence
from named
where emitter is null or emitter not in (select emitter from {{stints}})
