-- One key per resource, in the order given: equal content, equal key.
select
    hash(attributes, schema_url, dropped_attributes_count) as resource_key,
    attributes, schema_url, dropped_attributes_count
from incoming order by position
