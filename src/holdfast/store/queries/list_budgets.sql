-- A page of a tenant's budgets, newest first, each with the window that is now; by id, or by what it is called, one.
select b.id, b.scope, b.key, b.unit, b.per, b.amount, b.created_at, b.created_by, b.changed_at, b.changed_by, b.ended_at,
  holdfast.window_start(b.per, t.time_zone, holdfast.now()) as since,
  holdfast.window_end(b.per, t.time_zone, holdfast.now()) as until,
  holdfast.now() as asked_at
from holdfast.budgets b join holdfast.tenants t on t.id = b.tenant
where b.tenant = %(tenant)s
  and (not %(in_force)s::boolean or b.ended_at is null)
  and (%(id)s::uuid is null or b.id = %(id)s)
  and (%(called)s::text[] is null or array[b.scope, b.key, b.unit, b.per] = %(called)s::text[])
  and (%(before_at)s::timestamptz is null or (b.created_at, b.id) < (%(before_at)s, %(before_id)s::uuid))
order by b.created_at desc, b.id desc
limit %(limit)s
