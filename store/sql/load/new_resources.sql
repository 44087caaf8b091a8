-- Resources met for the first time.
insert into {{resources}}
select resource_key, any_value(attributes), any_value(schema_url), any_value(dropped_attributes_count)
from incoming
where resource_key not in (select resource_key from {{resources}})
group by resource_key
