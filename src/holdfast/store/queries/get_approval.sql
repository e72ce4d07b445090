-- One human task as it stands for one who looks at it; where `only` is given, only if its run is that principal's, or asked for by it.
select a.tenant, a.id, a.run, r.task, r.principal, r.requested_by, a.kind, a.state, a.scope, a.step, a.call, a.tool, a.key,
  a.args, a.received, a.edited, a.digest, a.why, a.ask, a.round, a.requesters, a.asked_at, a.expires_at, a.on_expiry,
  a.escalate_at, a.escalate_ask, a.escalated, a.decided_at, a.decided_by, s.agreed, s.needed, s.voted, s.refused
from holdfast.approvals a join holdfast.runs r on r.tenant = a.tenant and r.id = a.run
  cross join lateral holdfast.approval_standing(a.tenant, a.id, %(by)s, %(newcomer_s)s) s
where a.tenant = %(tenant)s and a.id = %(approval)s and (%(only)s::text is null or %(only)s in (r.principal, r.requested_by))
