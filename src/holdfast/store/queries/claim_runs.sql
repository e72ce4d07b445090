-- Takes queued runs for a worker. Each row is a run that is now running and this worker's.
select tenant, id as run, %(worker)s::uuid as worker, task, task_version, epoch, seq, head, inbox_seq, folded_seq, cancelling,
  claims, rewound, subject, principal, session, parent
from holdfast.claim_runs(%(worker)s, %(want)s, %(tasks)s, %(versions)s, %(free)s)
