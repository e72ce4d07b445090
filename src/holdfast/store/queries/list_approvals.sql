-- Human tasks of a tenant as they stand for one who looks at them, oldest first, from behind a place (asked_at, id) in that
-- order. Null filters let everything through. `only`: those of one principal's runs. `mine`: those that the one who looks may
-- decide and has not agreed to yet. `role`: those that somebody of this role is asked.
select a.tenant, a.id, a.run, a.task, a.principal, a.requested_by, a.kind, a.state, a.scope, a.step, a.call, a.tool, a.key,
  a.args, a.received, a.edited, a.digest, a.why, a.ask, a.round, a.requesters, a.asked_at, a.expires_at, a.on_expiry,
  a.escalate_at, a.escalate_ask, a.escalated, a.decided_at, a.decided_by, s.agreed, s.needed, s.voted, s.refused
from (
  select a.*, r.task, r.principal, r.requested_by
  from holdfast.approvals a join holdfast.runs r on r.tenant = a.tenant and r.id = a.run
  where a.tenant = %(tenant)s
    and (%(only)s::text is null or %(only)s in (r.principal, r.requested_by))
    and (%(state)s::text is null or a.state = %(state)s)
    and (%(run)s::uuid is null or a.run = %(run)s)
    and (%(ask)s::text is null or a.ask = %(ask)s)
    and (%(tool)s::text is null or a.tool = %(tool)s)
    and (%(role)s::text is null or (%(role)s = 'user' and a.ask = 'user') or (%(role)s = 'approver' and a.ask like '%%approver%%')
      or (%(role)s = 'admin' and (a.ask like '%%approver%%' or a.ask like '%%admin%%')))
    and (%(after_at)s::timestamptz is null or (a.asked_at, a.id) > (%(after_at)s, %(after_id)s))
    and (not %(mine)s or (a.state = 'pending' and exists (
      select from holdfast.approval_standing(a.tenant, a.id, %(by)s, %(newcomer_s)s) s where s.refused is null and not s.voted)))
  order by a.asked_at, a.id
  limit %(limit)s
) a cross join lateral holdfast.approval_standing(a.tenant, a.id, %(by)s, %(newcomer_s)s) s
order by a.asked_at, a.id
