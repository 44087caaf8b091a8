-- Rows of one table that are not kept as measurements, for one reader.
create or replace temp view {{table}}_rest as {{rows}}
