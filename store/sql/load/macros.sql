-- What the loader says often. The IP of 'IP:PORT', '[v6]:PORT', or a bare IP of either family.
create or replace macro ip_of(address) as
    case
        when address is null or address = '' then null
        when starts_with(address, '[') then split_part(address[2:], ']', 1)
        when address like '%:%:%' then address
        else split_part(address, ':', 1)
    end;

-- Is one of the flags in the pattern 'A|B|C' among 'X,Y'? Most rows have no flag at all.
create or replace macro flagged(flags, pattern) as
    coalesce(flags, '') <> '' and regexp_matches(flags, '(^|,)(' || pattern || ')(,|$)');

-- Did a version answer? By Envoy's own details where it tells them, else by code and flags.
create or replace macro was_answered(protocol, status_code, details, flags, upstream_address, upstream_cluster) as
    case
        when protocol = 'tcp' then
            upstream_address is not null and not flagged(flags, 'UF|UH|UO|NR')
        when details is not null then
            (status_code > 0 and details in ('via_upstream', 'downstream_remote_disconnect'))
            or contains(details, 'after_response_started')
        else
            coalesce(status_code, 0) > 0 and coalesce(upstream_address, upstream_cluster) is not null
            and not flagged(flags, 'UF|UH|UO|UT|UC|UR|UPE|NR|NC|FI|LR|RL|UAEX|DC|DR|UMSDR|DF')
    end;

-- Does a cluster's name hold the service's host? ('outbound|PORT|SUBSET|HOST', 'inbound-vip|PORT|http|HOST')
create or replace macro names_host(upstream_cluster) as
    coalesce(starts_with(upstream_cluster, 'outbound|') or starts_with(upstream_cluster, 'inbound-vip|'), false);

-- What a point of a metric adds to an edge; null for every metric that makes none. Sub-statistics of an
-- Envoy cluster (`cluster.NAME.external.upstream_rq`, `retry.`, `canary.`, `zone.`) repeat their parent.
create or replace macro metric_family(name, type) as
    case
        when type = 'sum' and regexp_matches(name, '^(istiocustom\.)?istio_(requests|tcp_connections_opened)(_total)?$')
            then 'requests'
        when type = 'sum' and regexp_matches(name, '^(istiocustom\.)?istio_tcp_received_bytes(_total)?$')
            then 'request_bytes'
        when type = 'sum' and regexp_matches(name, '^(istiocustom\.)?istio_tcp_sent_bytes(_total)?$')
            then 'response_bytes'
        when type = 'histogram' and regexp_matches(name, '^(istiocustom\.)?istio_request_duration_milliseconds$')
            then 'duration'
        when type = 'histogram' and regexp_matches(name, '^(istiocustom\.)?istio_(request|response)_bytes$')
            then regexp_extract(name, '(request|response)_bytes')
        when not regexp_matches(name, '^(cluster\.|envoy_cluster_).*upstream_rq(_time)?$') then null
        when regexp_matches(name, '[._](external|internal|retry|canary|zone[._].*)[._]upstream_rq(_time)?$') then null
        when type = 'sum' and ends_with(name, 'upstream_rq') then 'requests'
        when type = 'histogram' and ends_with(name, 'upstream_rq_time') then 'duration'
    end;

-- The value of a label; null where it is missing, and where Istio says that it does not know.
create or replace macro label(entries, wanted) as
    list_filter(entries, lambda entry: entry.key = wanted)[1].value;
create or replace macro known_label(entries, wanted) as
    case
        when label(entries, wanted) not in ('', '-', 'unknown') then left(label(entries, wanted), 253)
    end;
-- 'latest' is Istio's word for "no version".
create or replace macro known_version(version) as case when version <> 'latest' then version end;
