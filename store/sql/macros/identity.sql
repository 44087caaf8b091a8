-- Names out of names. Every one gives null where it cannot know.

-- 'reviews.default.svc.cluster.local' → 'default'; null for a host outside the mesh.
create or replace macro host_namespace(host) as
    case when contains(host, '.svc.') or ends_with(host, '.svc') then split_part(host, '.', 2) end;

-- 'reviews-v2-5d9c7b6f4-x7k2p.default' → 'default' (the last label); null for '@10.0.0.1' or a bare name.
create or replace macro emitter_namespace(emitter) as
    case when not starts_with(emitter, '@') then nullif(regexp_extract(emitter, '\.([^.]+)$', 1), '') end;

create or replace macro emitter_pod(emitter) as
    case when not starts_with(emitter, '@') then regexp_replace(emitter, '\.[^.]+$', '') end;

-- Whom a certificate names, where nobody else does: 'spiffe://cluster.local/ns/default/sa/reviews' → 'reviews'.
create or replace macro principal_account(principal) as
    nullif(regexp_extract(principal, '^spiffe://[^/]+/ns/[^/]+/sa/([^/]+)$', 1), '');

create or replace macro principal_namespace(principal) as
    nullif(regexp_extract(principal, '^spiffe://[^/]+/ns/([^/]+)/sa/[^/]+$', 1), '');

-- A guess, used only while the registry does not know the pod: a Deployment's pod name without its
-- two generated endings, a StatefulSet's without its number.
create or replace macro pod_workload(pod) as
    regexp_replace(
        regexp_replace(pod, '-[bcdf0-9][bcdfghjklmnpqrstvwxz0-9]{4,9}-[bcdfghjklmnpqrstvwxz0-9]{5}$', ''),
        '-[0-9]+$', ''
    );

-- Which proxy reported: by its node id, else by its pod's address in the row, else by the address its
-- connection came from. Loopback names no pod (127.0.0.6 is where Istio's inbound listener calls from).
create or replace macro proxy_name(reporter, emitter, source_ip, destination_ip) as
    case
        when emitter is not null and not starts_with(emitter, '@') then emitter
        when reporter = 'source' and source_ip not in ('127.0.0.1', '127.0.0.6', '::1') then '@' || source_ip
        when reporter = 'destination' and destination_ip not in ('127.0.0.1', '127.0.0.6', '::1')
            then '@' || destination_ip
        else emitter
    end;

-- A node of the graph, at its finest grain. Every field but `kind` may be null.
create or replace macro make_node(kind, cluster, namespace, workload, app, version, service, instance) as
    struct_pack(
        kind := kind, cluster := cluster, namespace := namespace, workload := workload, app := app,
        version := version, service := service, instance := instance
    );

-- What no version answered goes to the service's own node. Its cluster is not known: a service's name
-- is the same in every cluster of a mesh.
create or replace macro service_node(host) as
    make_node('service', null, host_namespace(host), null, split_part(host, '.', 1), null, host, null);

create or replace macro unknown_node(address) as
    make_node('unknown', null, null, address, null, null, null, null);

-- The same node seen at a coarser (or the finest) grain: 'version' | 'workload' | 'app' | 'service' |
-- 'instance'. Nodes that are no workload (service, external, unknown) are the same at every grain.
create or replace macro node_at(node, grain) as
    case
        when node.kind not in ('workload', 'gateway') then node
        when grain = 'instance' then make_node(
            case node.kind when 'workload' then 'instance' else node.kind end,
            node.cluster, node.namespace, node.workload, node.app, node.version, node.service, node.instance
        )
        when grain = 'workload' or (grain in ('app', 'service') and node.kind = 'gateway') then make_node(
            node.kind, node.cluster, node.namespace, node.workload, node.app, null, node.service, null
        )
        when grain = 'app' then make_node(
            'app', node.cluster, node.namespace, null, coalesce(node.app, node.workload), null, node.service, null
        )
        when grain = 'service' and node.service is not null then service_node(node.service)
        when grain = 'service' then make_node(
            node.kind, node.cluster, node.namespace, node.workload, node.app, null, null, null
        )
        else make_node(
            node.kind, node.cluster, node.namespace, node.workload, node.app, node.version, node.service, null
        )
    end;

-- What an id is made of: identity, never what is merely known about a node (such as the service of a
-- workload), so that a refresh is a small difference. The id is the first 16 digits of the md5 of this.
create or replace macro node_parts(node) as
    concat_ws(
        '|', node.kind, coalesce(node.cluster, ''), coalesce(node.namespace, ''),
        case
            when node.kind in ('service', 'external') then coalesce(node.service, '')
            when node.kind = 'app' then coalesce(node.app, '')
            else coalesce(node.workload, node.app, '')
        end,
        coalesce(node.version, ''), coalesce(node.instance, '')
    );
