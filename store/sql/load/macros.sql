-- What the loader says often. The IP of 'IP:PORT', '[v6]:PORT', or a bare IP of either family.
create or replace macro ip_of(address) as
    case
        when address is null or address = '' then null
        when starts_with(address, '[') then split_part(address[2:], ']', 1)
        when contains(address[strpos(address, ':') + 1:], ':') then address
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
