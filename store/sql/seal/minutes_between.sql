-- Every minute that may have rows in a file which cannot be read.
select minute from catalogue.activity
where minute between date_trunc('minute', $earliest::timestamp) and $latest::timestamp
