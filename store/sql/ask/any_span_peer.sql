-- Did any proxy ever send a span?
select exists (from peers where signal_rank(signal) = 5 and signal is distinct from 'app_span') as known
