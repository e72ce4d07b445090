-- The id of the tenant of this name, or null.
select holdfast.find_tenant(%(name)s)
