-- The small tables every reader sees, live: what the catalogue knows plus what the unsealed journals
-- taught. They are memory only; after a crash the catalogue and the journals fill them again.
create table hot.peers as from catalogue.peers;
create table hot.resources as from catalogue.resources;
create table hot.identity_facts as from catalogue.identity_facts;
create table hot.stints as from catalogue.stints;
create table hot.empty_activity as from catalogue.activity limit 0;
