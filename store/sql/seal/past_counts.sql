-- How many counts of the catalogue are of times that end in ($since, $before], and of when they are.
select count(*), min({{begin}}), max({{begin}} + to_minutes({{length}})) - interval 1 microsecond
from catalogue.{{counts}}
where {{begin}} + to_minutes({{length}}) > $since::timestamp and {{begin}} + to_minutes({{length}}) <= $before::timestamp
