-- The verbs of the store as the simulation calls them, one statement each. A tenant is set in the statement itself:
-- the function's argument comes from the setting, so it is set first.

-- name: accept_run
select a.outcome, a.run
from set_config('holdfast.tenant', %(tenant)s, true) s,
  lateral holdfast.accept_run(s::uuid, %(run)s, %(task)s, %(version)s, %(session)s, 'me', 'somebody', null,
    %(priority)s, to_timestamp(%(at_s)s), %(body)s, %(hash)s, '{}', '{}', 'api', %(key)s, %(request)s) a

-- name: deliver_signal
select d.outcome, d.seq
from set_config('holdfast.tenant', %(tenant)s, true) s,
  lateral holdfast.deliver_signal(s::uuid, %(run_id)s, %(kind)s, '{}', null, null, 'me', %(dedupe)s) d

-- name: decide_approval
select d.outcome, d.state, d.decided_by, d.run, d.seq
from set_config('holdfast.tenant', %(tenant)s, true) s,
  lateral holdfast.decide_approval(s::uuid, %(task_id)s, %(verdict)s, %(digest)s, %(by)s, null, null, 0, null) d

-- name: declare_halt
select h.halt, h.is_new
from set_config('holdfast.tenant', %(tenant)s, true) s,
  lateral holdfast.declare_halt(s::uuid, %(halt)s, %(scope)s, %(key)s, 'because', 'me', %(authority)s,
    %(for_s)s::double precision) h

-- name: lift_halt
select h from set_config('holdfast.tenant', %(tenant)s, true) s,
  lateral holdfast.lift_halt(s::uuid, %(halt)s, 'me', %(authority)s, null) h

-- name: expire_halts
select holdfast.expire_halts()

-- name: append
select a.idx, a.outcome, a.inbox_seq, a.cancelling
from holdfast.append(
  %(m_tenant)s::uuid[], %(m_run)s::uuid[], %(m_worker)s::uuid[], %(m_epoch)s::bigint[], %(m_seq)s::bigint[],
  %(m_head)s::bytea[], %(m_new_seq)s::bigint[], %(m_new_head)s::bytea[], %(m_folded)s::bigint[], %(m_flags)s::int[],
  %(m_increments)s::bigint[], %(e_member)s::int[], %(e_seq)s::bigint[], %(e_type)s::text[], %(e_at)s::timestamptz[],
  %(e_body)s::text[], %(e_hash)s::bytea[], %(b_member)s::int[], %(b_digest)s::bytea[], %(b_body)s::bytea[], %(rare)s) a

-- name: register_worker
select from holdfast.register_worker(%(worker)s, 'host', 1, %(serves)s::jsonb, 5400)

-- name: renew_lease
select ok, kind, tenant, run, inbox_seq, cancelling from holdfast.renew_lease(%(worker)s, %(holding)s::uuid[])

-- name: claim_runs
select tenant, id, epoch, seq, head, inbox_seq, folded_seq, cancelling, claims, rewound
from holdfast.claim_runs(%(worker)s, %(want)s, %(tasks)s::text[], %(versions)s::text[], %(free)s::int[])

-- name: release_runs
select holdfast.release_runs(%(worker)s, %(runs)s::uuid[], %(failed)s)

-- name: leave
select holdfast.leave(%(worker)s)

-- name: renew_rights
select r.name
from set_config('holdfast.tenant', %(tenant)s, true) s,
  lateral holdfast.renew_rights(s::uuid, %(run_id)s, %(worker)s, %(epoch)s) r

-- name: tick
select rescued, quarantined, woken, parked, unparked, rewound, halts_due from holdfast.tick(1000)

-- name: pass_time
update holdfast.clock set skew = skew + %(by)s * interval '30 minutes'

-- name: fail_over
update holdfast.timeline set timeline = timeline + 1

-- name: lock
select from holdfast.runs where tenant = %(tenant)s and id = %(id)s for no key update

-- name: rows
-- All rows of these tenants, and the workers. Times in half hours since the seed began; the order in which runs queue by
-- their rank.
select
  (select jsonb_object_agg(r.id, jsonb_build_array(r.state, r.waiting_on,
      floor(extract(epoch from r.wake_at - %(begun)s) / 1800), r.worker, r.epoch, r.seq, encode(r.head, 'hex'),
      r.inbox_seq, r.folded_seq, r.cancelling, r.claims, r.rewound, r.unserved, r.stale,
      jsonb_build_array(r.steps, r.model_requests, r.tool_calls, r.input_tokens, r.output_tokens),
      r.started_at is not null, r.finished_at is not null, r.priority, r.task, r.task_version, r.session))
   from holdfast.runs r where r.tenant = any (%(tenants)s)),
  (select jsonb_agg(r.id order by r.queued_at, r.id) from holdfast.runs r where r.tenant = any (%(tenants)s)),
  (select jsonb_agg(jsonb_build_array(e.run, e.seq, e.type, encode(e.hash, 'hex')) order by e.tenant, e.run, e.seq)
   from holdfast.events e where e.tenant = any (%(tenants)s)),
  (select jsonb_agg(jsonb_build_array(s.run, s.seq, s.kind, s.dedupe) order by s.tenant, s.run, s.seq)
   from holdfast.signals s where s.tenant = any (%(tenants)s)),
  (select jsonb_agg(jsonb_build_array(a.id, a.run, a.kind, a.state, a.digest, a.decided_by) order by a.id)
   from holdfast.approvals a where a.tenant = any (%(tenants)s)),
  (select jsonb_agg(jsonb_build_array(b.run, encode(b.digest, 'hex')) order by b.tenant, b.run, b.digest)
   from holdfast.blobs b where b.tenant = any (%(tenants)s)),
  (select jsonb_agg(jsonb_build_array(h.id, h.tenant, h.scope, h.key, h.authority, h.lifted_by) order by h.id)
   from holdfast.halts h where h.tenant = any (%(tenants)s) or h.scope = 'everything'),
  (select jsonb_agg(jsonb_build_array(s.tenant, s.id, s.last_run) order by s.tenant, s.id)
   from holdfast.sessions s where s.tenant = any (%(tenants)s)),
  (select jsonb_agg(jsonb_build_array(k.tenant, k.key, k.made) order by k.tenant, k.key)
   from holdfast.idempotency_keys k where k.tenant = any (%(tenants)s)),
  (select jsonb_agg(jsonb_build_array(w.id, floor(extract(epoch from w.lease_until - %(begun)s) / 1800)) order by w.id)
   from holdfast.workers w)
