-- The limits of a tenant's runs, by the names of what is counted.
select t.ceilings from holdfast.tenants t where t.id = %(tenant)s
