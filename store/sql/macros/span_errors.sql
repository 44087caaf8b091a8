-- Did a span fail? Proxies may say so by code alone (a client that left has code 0 and no error status).
create or replace macro span_failed(status, is_proxy, status_code, grpc_status) as
    coalesce(
        status = 'error' or status_code >= 500 or (is_proxy and status_code = 0)
        or grpc_status in (2, 4, 12, 13, 14, 15),
        false
    );
