-- May any row not show its direct caller (see `edge_facts`)? Where a reader knows better, it puts another macro of
-- this name before this one (`ask/none_loose`), and no statement looks for such rows.
create or replace macro may_be_loose() as true;
