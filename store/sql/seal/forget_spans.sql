-- Those that were merged of them go.
delete from catalogue.edges_merged where since >= $earliest::timestamp and since <= $latest::timestamp
