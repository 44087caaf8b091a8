-- The answer of `ends`, kept as long as the reader.
create temp table ends_kept as from {{ends}}
