-- A tenant's audit log, newest first, from behind a place (at, id) in that order.
select a.at, a.id, a.actor, a.action, a.target, a.details
from holdfast.audit_log a
where a.tenant = %(tenant)s
  and (%(before_at)s::timestamptz is null or (a.at, a.id) < (%(before_at)s, %(before_id)s))
order by a.at desc, a.id desc
limit %(limit)s
