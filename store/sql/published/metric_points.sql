-- Data points of metrics (OTLP, scrapes), as they were sent.
create or replace view metric_points as
select metric_points_raw.* exclude (resource_key, series_key), resources.attributes as resource
from metric_points_raw
left join resources using (resource_key);
