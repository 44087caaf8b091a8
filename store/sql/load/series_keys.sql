-- The series of each point, in the order of the rows: the hash of everything that names it. Null for points
-- of metrics that make no edge.
select case
    when metric_family(name, type) is not null then hash('series', name, attributes, resource_key)
end as series_key
from incoming
