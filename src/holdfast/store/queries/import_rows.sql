-- Inserts rows of a tenant that is being imported.
select holdfast.import_rows(%(tenant)s, %(table)s, %(rows)s::jsonb)
