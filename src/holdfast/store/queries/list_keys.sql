-- API keys of a tenant, newest first, from behind a place (created_at, id) in that order.
select k.id, k.principal, k.name, k.scopes, k.created_at, k.created_by, k.expires_at, k.revoked_at, k.used_at
from holdfast.api_keys k
where k.tenant = %(tenant)s
  and (%(id)s::uuid is null or k.id = %(id)s)
  and (%(principal)s::uuid is null or k.principal = %(principal)s)
  and (%(before_at)s::timestamptz is null or (k.created_at, k.id) < (%(before_at)s, %(before_id)s))
order by k.created_at desc, k.id desc
limit %(limit)s
