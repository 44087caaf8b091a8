-- Is there any point that may count? Cheap: one column, mostly null where no mesh sends metrics.
select exists (from metric_points_stored where series_key is not null) as known
