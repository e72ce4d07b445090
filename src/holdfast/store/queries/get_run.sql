-- One run; where `only` is given, only if it is that principal's.
select r.tenant, r.id, r.task, r.task_version, r.state, r.waiting_on, r.wake_at, r.session, r.principal, r.subject, r.requested_by, r.parent,
  r.priority, r.epoch, r.seq, r.head, r.inbox_seq, r.folded_seq, r.cancelling, r.claims, r.rewound, r.steps, r.model_requests,
  r.tool_calls, r.input_tokens, r.output_tokens, r.created_at, r.queued_at, r.started_at, r.finished_at, r.updated_at,
  exists (select from holdfast.sessions s where s.tenant = r.tenant and s.id = r.session and s.deleted_at is not null)
    as session_deleted
from holdfast.runs r
where r.tenant = %(tenant)s and r.id = %(run)s and (%(only)s::text is null or %(only)s in (r.principal, r.requested_by))
