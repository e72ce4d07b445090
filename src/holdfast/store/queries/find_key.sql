-- The key of this digest with its principal as it stands now, and whether it is in force.
select k.id, k.scopes, k.revoked_at is not null as revoked, k.expires_at <= holdfast.now() as expired,
  k.used_at is null or k.used_at < holdfast.now() - interval '1 minute' as untouched,
  p.id as principal, p.kind, p.name, p.disabled_at is not null as disabled,
  array(select m.role from holdfast.memberships m where m.tenant = p.tenant and m.principal = p.id) as roles
from holdfast.api_keys k join holdfast.principals p on p.tenant = k.tenant and p.id = k.principal
  join holdfast.tenants t on t.id = k.tenant and t.state in ('active', 'suspended')
where k.tenant = %(tenant)s and k.digest = %(digest)s
