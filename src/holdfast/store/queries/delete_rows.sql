-- Deletes a batch of rows of each table of a tenant that is being deleted.
select name, deleted from holdfast.delete_rows(%(tenant)s, %(limit)s)
