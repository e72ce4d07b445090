-- Takes queued runs for a worker. Each row is a run that is now running and this worker's, with whom it is for, its
-- tenant's limits, and all that it recorded where that is little.
select c.tenant, c.id as run, %(worker)s::uuid as worker, c.task, c.task_version, c.epoch, c.seq, c.head, c.inbox_seq,
  c.folded_seq, c.cancelling, c.claims, c.rewound, c.subject, c.principal, c.session, c.parent,
  j.seqs, j.types, j.ats, j.bodies, j.hashes, j.digests, j.contents,
  a.kind, a.name, a.disabled, a.roles, a.claims_age_s, a.ceilings
from holdfast.claim_runs(%(worker)s, %(want)s, %(tasks)s, %(versions)s, %(free)s) as c
left join lateral holdfast.short_journal(c.tenant, c.id, c.seq) as j on true
left join lateral holdfast.acting(c.tenant, c.principal) as a on true
