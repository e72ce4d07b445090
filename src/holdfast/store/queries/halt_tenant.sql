-- Stops a tenant, by the platform. Nulls where there is no such tenant.
select halt, is_new from holdfast.halt_tenant(%(tenant)s, %(id)s, %(reason)s, %(by)s, %(for_s)s::double precision)
