-- Does any application's span count in the window?
select exists (from span_callers($from_time, $to_time) where reporter <> 'proxy') as known
