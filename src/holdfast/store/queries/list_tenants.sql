-- Tenants by name, for the platform.
select id, name, state, created_at, max_principals, max_runs, max_bytes from holdfast.list_tenants(%(id)s, %(after)s, %(limit)s)
