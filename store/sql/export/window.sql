-- A table's rows of [start, end).
select * from {{table}} where {{time}} >= timestamp {{start}} and {{time}} < timestamp {{end}}
