-- A page of a tenant's halts, newest first; of one principal those that it declared and those of its own runs.
select tenant, id, scope, key, reason, by, authority, at, expires_at, lifted_at, lifted_by, freed_at
from holdfast.halts
where tenant = %(tenant)s and at > '-infinity'
  and (%(only)s::text is null or by = %(only)s or (scope = 'user' and key = %(only)s))
  and (not %(in_force)s::boolean or lifted_at is null)
  and (%(id)s::uuid is null or id = %(id)s)
  and (%(before_at)s::timestamptz is null or (at, id) < (%(before_at)s, %(before_id)s::uuid))
order by at desc, id desc
limit %(limit)s
