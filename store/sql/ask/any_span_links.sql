-- Does any application's span count in the reader's window?
select exists (from span_links_kept) as known
