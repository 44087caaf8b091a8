-- What `span_links` answers where no application's span counts.
create temp table span_links_kept (
    trace_id uuid, span_id ubigint, peer_key ubigint, "minute" timestamp, protocol varchar, reporter varchar,
    source ubigint, target ubigint, share_service varchar, lane_key ubigint, is_told boolean
)
