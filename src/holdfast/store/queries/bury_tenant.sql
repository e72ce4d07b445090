-- Ends the deletion of a tenant, for the platform.
select holdfast.bury_tenant(%(tenant)s, %(by)s, %(evidence)s)
