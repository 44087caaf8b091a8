-- How many series of `incoming` are met for the first time.
select count(distinct series_key) from incoming
where series_key is not null and series_key not in (select series_key from {{series}})
