-- What the sealed rows point at and the catalogue does not know yet.
insert into {{known}}.peers select * from hot.peers where peer_key not in (select peer_key from {{known}}.peers);
insert into {{known}}.resources_stored
select * from hot.resources where resource_key not in (select resource_key from {{known}}.resources_stored);
insert into {{known}}.series select * from hot.series where series_key not in (select series_key from {{known}}.series);
