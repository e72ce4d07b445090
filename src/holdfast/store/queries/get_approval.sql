-- One human task.
select tenant, id, run, kind, state, scope, step, call, tool, key, args, digest, why, asked_at, decided_at, decided_by
from holdfast.approvals where tenant = %(tenant)s and id = %(approval)s
