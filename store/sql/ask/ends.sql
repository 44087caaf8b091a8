-- The macro of this name for one reader: from what was kept, instead of naming everybody again.
create temp macro ends() as table from ends_kept
