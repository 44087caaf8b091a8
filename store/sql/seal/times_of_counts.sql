-- How many counts a file of the rollup has, and of when they are.
select count(*), min({{begin}}), max({{begin}} + to_minutes({{length}})) - interval 1 microsecond
from {{counts}}
