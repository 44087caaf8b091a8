-- The answer of `span_links` for a reader's window, kept as long as the reader.
create temp table span_links_kept as from span_links($from_time, $to_time)
