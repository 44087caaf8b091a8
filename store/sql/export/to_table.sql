-- One table as a table of the file that is written.
create table exported.{{table}} as {{rows}}
