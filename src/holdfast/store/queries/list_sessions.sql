-- Sessions of a tenant, newest first, from behind a place (created_at, id) in that order.
select tenant, id, subject, principal, last_run, created_at, deleted_at
from holdfast.sessions
where tenant = %(tenant)s
  and deleted_at is null
  and (%(only)s::text is null or principal = %(only)s)
  and (%(before_at)s::timestamptz is null or (created_at, id) < (%(before_at)s, %(before_id)s))
order by created_at desc, id desc
limit %(limit)s
