-- Did any application ever send a span?
select exists (from peers where signal = 'app_span') as known
