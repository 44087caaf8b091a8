-- The spans of these days are to be merged again.
update catalogue.merged_minutes set is_merged = false
where since >= $earliest::timestamp and since <= $latest::timestamp
