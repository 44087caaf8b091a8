-- Rows for one reader whose percentiles the rollup tells: only those of the minutes that its window cuts.
create or replace temp view {{table}}_stored as from {{table}}_cut
