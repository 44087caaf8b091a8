-- Did any called proxy ever send a row that does not show its direct caller (`unlinked` in `legs`)?
select exists (
    from peers where source_ip is null and reporter <> 'source' and signal not in ('span', 'app_span')
) as known
