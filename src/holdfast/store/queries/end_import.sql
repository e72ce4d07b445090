-- Ends to bring a tenant in, for the platform.
select holdfast.end_import(%(tenant)s, %(by)s)
