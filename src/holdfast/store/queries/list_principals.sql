-- Principals of a tenant by name, with their roles.
select p.tenant, p.id, p.kind, p.name, p.email, p.created_at, p.created_by, p.disabled_at,
  array(select m.role from holdfast.memberships m where m.tenant = p.tenant and m.principal = p.id order by m.role) as roles
from holdfast.principals p
where p.tenant = %(tenant)s
  and (%(id)s::uuid is null or p.id = %(id)s)
  and (%(name)s::text is null or p.name = %(name)s)
  and (%(after)s::text is null or p.name > %(after)s)
order by p.name
limit %(limit)s
