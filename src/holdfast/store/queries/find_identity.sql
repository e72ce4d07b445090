-- The principal that an issuer calls by this subject, as it stands now.
select i.issued_at, p.id as principal, p.kind, p.name, p.disabled_at is not null as disabled,
  array(select m.role from holdfast.memberships m where m.tenant = p.tenant and m.principal = p.id) as roles
from holdfast.identities i join holdfast.principals p on p.tenant = i.tenant and p.id = i.principal
  join holdfast.tenants t on t.id = i.tenant and t.state in ('active', 'suspended')
where i.tenant = %(tenant)s and i.issuer = %(issuer)s and i.subject = %(subject)s
