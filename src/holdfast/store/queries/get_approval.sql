-- One human task; where `only` is given, only if its run is that principal's.
select tenant, id, run, kind, state, scope, step, call, tool, key, args, digest, why, asked_at, decided_at, decided_by
from holdfast.approvals a where tenant = %(tenant)s and id = %(approval)s
  and (%(only)s::text is null
    or exists (select from holdfast.runs r where r.tenant = a.tenant and r.id = a.run and r.principal = %(only)s))
