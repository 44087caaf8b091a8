-- They are in segments now.
delete from catalogue.{{counts}} where {{begin}} + to_minutes({{length}}) <= $until::timestamp
