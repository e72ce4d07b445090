-- Runs of one session, newest first: of its owner's and of others' who went on with it.
select tenant, id, task, task_version, state, waiting_on, wake_at, session, principal, subject, requested_by, parent, priority, epoch, seq, head,
  inbox_seq, folded_seq, cancelling, claims, rewound, steps, model_requests, tool_calls, input_tokens, output_tokens, created_at,
  queued_at, started_at, finished_at, updated_at
from holdfast.runs
where tenant = %(tenant)s and session = %(session)s
order by created_at desc, id desc
limit %(limit)s
