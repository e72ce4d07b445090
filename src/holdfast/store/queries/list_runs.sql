-- Runs of a tenant, newest first, from behind a place (created_at, id) in that order. Null filters let everything through.
select tenant, id, task, task_version, state, waiting_on, wake_at, session, principal, subject, requested_by, parent, priority, epoch, seq, head,
  inbox_seq, folded_seq, cancelling, claims, rewound, steps, model_requests, tool_calls, input_tokens, output_tokens, created_at,
  queued_at, started_at, finished_at, updated_at
from holdfast.runs
where tenant = %(tenant)s
  and created_at > '-infinity'  -- always so; it says which index is meant
  and (%(task)s::text is null or task = %(task)s)
  and (%(state)s::text is null or state = %(state)s)
  and (%(session)s::uuid is null or session = %(session)s)
  and (%(before_at)s::timestamptz is null or (created_at, id) < (%(before_at)s, %(before_id)s))
order by created_at desc, id desc
limit %(limit)s
