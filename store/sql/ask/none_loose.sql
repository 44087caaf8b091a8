-- The macro of this name for one reader, where every row shows its caller.
create temp macro may_be_loose() as false
