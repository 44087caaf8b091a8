-- One key per resource, in the order given: equal attributes, equal key.
select hash(attributes, schema_url) as resource_key, attributes, schema_url from incoming order by position
