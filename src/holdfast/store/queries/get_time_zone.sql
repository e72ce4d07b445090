-- In which time zone a tenant's days begin.
select t.time_zone from holdfast.tenants t where t.id = %(tenant)s
