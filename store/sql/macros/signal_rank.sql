-- How complete a signal is; a proxy's best one counts, the others only enrich. 4 is metrics'. 'ztunnel' (connections
-- only) is as good as files among its like; against what tells of requests `legs` weighs it apart.
create or replace macro signal_rank(signal) as
    case signal when 'als' then 1 when 'otlp_log' then 2 when 'file' then 3 when 'ztunnel' then 3 else 5 end;
