-- The names of principals by id.
select id::text, name from holdfast.principals where tenant = %(tenant)s and id = any(%(ids)s)
