-- The minutes of which rows are kept no longer.
insert into catalogue.dropped_minutes
select distinct minute from ({{minutes}}) where minute not in (from catalogue.dropped_minutes)
