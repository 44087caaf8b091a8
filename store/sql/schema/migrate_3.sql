-- 3 → 4: segments are merged and dropped; what they leave behind is listed until it is unlinked.
create table if not exists {{known}}.retired (path varchar not null, retired_at timestamp not null);
