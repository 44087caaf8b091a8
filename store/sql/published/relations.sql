-- Relations of the current database, and their columns ('' for the relation itself).
select table_name, '', false from duckdb_tables() where database_name = current_database()
union all
select view_name, '', true from duckdb_views() where database_name = current_database() and not internal
union all
select table_name, column_name, false
from duckdb_columns()
where database_name = current_database() and not internal
order by 1, 2
