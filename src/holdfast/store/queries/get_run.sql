-- One run; where `only` is given, only if it is that principal's.
select tenant, id, task, task_version, state, waiting_on, wake_at, session, principal, subject, parent, priority, epoch, seq, head,
  inbox_seq, folded_seq, cancelling, claims, rewound, steps, model_requests, tool_calls, input_tokens, output_tokens, created_at,
  queued_at, started_at, finished_at, updated_at
from holdfast.runs where tenant = %(tenant)s and id = %(run)s and (%(only)s::text is null or principal = %(only)s)
