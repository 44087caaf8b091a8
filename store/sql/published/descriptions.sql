-- (relation or '*', column or '', what it is)
select * from (values
    ('about', '', 'Which version of the schema this is and when the file was published.')
) as described(relation, "column", sentence)
