-- Suspends a tenant, or lets it go on, for the platform.
select holdfast.suspend_tenant(%(tenant)s, %(suspended)s, %(reason)s, %(by)s)
