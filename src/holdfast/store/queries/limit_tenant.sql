-- Sets all the limits of a tenant's runs, for the platform.
select holdfast.limit_tenant(%(tenant)s, %(put)s, %(by)s)
