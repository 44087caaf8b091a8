-- What became of a request: 'ok' | 'error' | 'client_gone' | 'unknown'. The first branch that fits wins.
-- `success` is '5xx' (the default reading) or '4xx' (4xx and other gRPC statuses are errors too).
create or replace macro outcome(protocol, status_code, grpc_status, flags, details, success) as
    case
        -- An upgrade that happened is a success, however its session ended.
        when status_code = 101 then 'ok'
        -- An application's span without code or gRPC status: its own status is all it says.
        when details = 'span_error' then 'error'
        when protocol = 'tcp' then
            case
                when flag_among(flags, [
                    'UF', 'UH', 'UO', 'UT', 'UC', 'UR', 'UPE', 'URX', 'LR', 'LH', 'UMSDR', 'DF', 'NC', 'NR',
                    'UAEX', 'RL'
                ]) or starts_with(coalesce(details, ''), 'rbac_access_denied') then 'error'
                -- ztunnel names an error that does not tell whether the caller had its answer.
                when details = 'connection_error' then 'unknown'
                else 'ok'
            end
        when flag_among(flags, ['DC', 'DR']) and not flag_among(flags, [
            'UF', 'UH', 'UO', 'UT', 'UC', 'UR', 'UPE', 'URX', 'LR', 'LH', 'UMSDR', 'DF', 'NC'
        ]) then 'client_gone'
        when status_code >= 500 or status_code = 0 then 'error'
        -- An answer that was cut off, or a gRPC one that Envoy itself made.
        when status_code < 400 and flag_among(flags, [
            'UF', 'UH', 'UO', 'UT', 'UC', 'UR', 'UPE', 'LR', 'UMSDR', 'DF', 'NC'
        ]) then 'error'
        when protocol = 'grpc' and grpc_status is null then 'unknown'
        when protocol = 'grpc' and grpc_status in (2, 4, 12, 13, 14, 15) then 'error'
        when status_code is null and protocol <> 'grpc' then 'unknown'
        when success = '4xx' and (status_code between 400 and 499 or (protocol = 'grpc' and grpc_status <> 0)) then 'error'
        else 'ok'
    end;
