-- The small tables every reader sees, live: what the catalogue knows plus what the unsealed journals
-- taught. They are memory only; after a crash the catalogue and the journals fill them again.
create table hot.peers as from {{known}}.peers;
create table hot.series as from {{known}}.series;
create table hot.resources as from {{known}}.resources_stored;
create table hot.identity_facts as from {{known}}.identity_facts;
create table hot.stints as from {{known}}.stints;
create table hot.empty_activity as from {{known}}.activity limit 0;
