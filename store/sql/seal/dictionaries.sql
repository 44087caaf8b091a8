-- What the sealed rows point at and the catalogue does not know yet.
insert into catalogue.peers select * from hot.peers where peer_key not in (select peer_key from catalogue.peers);
insert into catalogue.resources
select * from hot.resources where resource_key not in (select resource_key from catalogue.resources);
