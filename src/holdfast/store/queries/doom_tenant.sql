-- Begins to delete a suspended tenant, for the platform.
select holdfast.doom_tenant(%(tenant)s, %(by)s)
