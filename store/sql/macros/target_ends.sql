-- Nodes that only applications name: databases, queues, and services known by their name alone.

-- What a database or queue is called. A database is told by its server and name ('pg.shop:5432/orders'
-- without the port); a queue by its system and name, for its brokers' addresses vary.
create or replace macro target_label(kind, "system", name, host) as
    case kind
        when 'database' then concat_ws('/', coalesce(host, "system"), name)
        when 'queue' then concat_ws('/', coalesce("system", case when name is null then host end), name)
    end;

create or replace macro target_ends() as table
select hash('target', target_kind, label) as end_no, make_node(
    target_kind, null, case when target_kind = 'database' then host_namespace(max(service_host)) end, label,
    max(target_system), null, case when target_kind = 'database' then max(service_host) end, null
) as node
from (select *, target_label(target_kind, target_system, target_name, service_host) as label from peers)
where target_kind is not null
group by target_kind, label
union all
select
    hash('named', is_known, target_name),
    case when is_known then service_node(target_name) else make_node('external', null, null, null, null, null, target_name, null) end
from (select distinct target_name from peers where signal = 'app_span' and target_kind is null and target_name is not null),
    (values (true), (false)) as ways(is_known);
