-- Human tasks of one principal's runs, oldest first, from behind a place (asked_at, id) in that order. Null filters let everything through.
select tenant, id, run, kind, state, scope, step, call, tool, key, args, digest, why, asked_at, decided_at, decided_by
from holdfast.approvals a
where tenant = %(tenant)s
  and (%(state)s::text is null or state = %(state)s)
  and (%(run)s::uuid is null or run = %(run)s)
  and (%(after_at)s::timestamptz is null or (asked_at, id) > (%(after_at)s, %(after_id)s))
  and exists (select from holdfast.runs r where r.tenant = a.tenant and r.id = a.run and r.principal = %(only)s)
order by asked_at, id
limit %(limit)s
