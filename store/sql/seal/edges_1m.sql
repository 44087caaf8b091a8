-- The rollup of the rows of one seal: per minute, peer and kind of answer.
insert into {{counts}}
select
    date_trunc('minute', "time"), peer_key, status_code, grpc_status, response_flags,
    case
        when response_code_details is null then null
        when response_code_details in ('via_upstream', 'downstream_remote_disconnect', 'connection_error')
            then response_code_details
        when contains(response_code_details, 'after_response_started') then 'after_response_started'
        when starts_with(response_code_details, 'rbac_access_denied') then 'rbac_access_denied'
        else 'other'
    end as details_class,
    tls, count(*), saturated(sum(duration_us)), count(duration_us),
    histogram(latency_bucket(duration_us)) filter (duration_us is not null),
    saturated(sum(request_bytes)), saturated(sum(response_bytes)), sum(attempts), count(attempts)
from {{rows}}
where peer_key is not null
group by all
