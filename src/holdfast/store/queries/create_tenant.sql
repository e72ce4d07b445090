-- Creates a tenant, for the platform.
select holdfast.create_tenant(%(id)s, %(name)s, %(by)s)
