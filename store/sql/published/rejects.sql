-- What could not be read, where it stood and why.
create or replace view rejects as select * from rejects_raw;
