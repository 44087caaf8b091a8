-- Did any proxy send a span of the reader's window?
select exists (from spans_stored where peer_key is not null) as known
