-- Does 'URX,UF' hold any of a list of flags? False for '' and null. Meant for groups, not for rows.
create or replace macro flag_among(flags, wanted) as
    coalesce(list_has_any(string_split(flags, ','), wanted), false);
