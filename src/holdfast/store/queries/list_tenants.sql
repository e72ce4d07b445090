-- Tenants by name, for the platform.
select id, name, state, created_at from holdfast.list_tenants(%(id)s, %(after)s, %(limit)s)
