-- Deletes a batch of rows of each table of a tenant that is being deleted; how many there were.
select holdfast.delete_rows(%(tenant)s, %(limit)s)
