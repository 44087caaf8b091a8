-- The key of each row, in the order of the rows.
select peer_key from ({{keyed}})
