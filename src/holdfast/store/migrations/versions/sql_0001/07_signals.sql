-- Signals: what others tell a run. They never write its journal; whoever holds the run folds them in.

-- Puts a signal into a run's inbox and wakes the run if it is parked, both or neither. The update is unconditional:
-- a run may park or end only if it has folded in everything up to `inbox_seq`, so no signal is slept through.
create function deliver_signal(
  p_tenant uuid, p_run uuid, p_kind text, p_body text, p_content bytea, p_digest bytea, p_by text, p_dedupe text
) returns table (outcome text, seq bigint)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  moment timestamptz := holdfast.now();
  target runs;
  repeated bigint;
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  select * into target from runs r where r.tenant = p_tenant and r.id = p_run for no key update;
  if not found then
    return query select 'absent', null::bigint;
    return;
  end if;
  select s.seq into repeated from signals s where s.tenant = p_tenant and s.run = p_run and s.dedupe = p_dedupe;
  if found then
    return query select 'repeated', repeated;
    return;
  end if;
  if target.state in ('succeeded', 'failed', 'cancelled') then
    return query select 'finished', null::bigint;
    return;
  end if;

  insert into signals (tenant, run, seq, kind, body, content, digest, by, dedupe, at)
  values (p_tenant, p_run, target.inbox_seq + 1, p_kind, p_body, p_content, p_digest, p_by, p_dedupe, moment);
  update runs r set
    inbox_seq = r.inbox_seq + 1,
    cancelling = r.cancelling or p_kind = 'cancel',
    state = case when r.state = 'parked' then 'queued' else r.state end,
    queued_at = case when r.state = 'parked' then moment else r.queued_at end,
    waiting_on = null, wake_at = null, unserved = false, updated_at = moment
  where r.tenant = p_tenant and r.id = p_run;
  return query select 'delivered', target.inbox_seq + 1;
end $$;

-- Settles a human task, once, and tells the run. The digest is the one shown to the person who decides: if the task
-- is bound to another, nothing happens. A run that has ended is not told; the decision is recorded all the same. While a
-- worker's late report of this very effect waits in the run's inbox nobody decides: what a person says then might have no
-- effect. Whoever holds the run reads the report, and closes the task or leaves it to people.
create function decide_approval(
  p_tenant uuid, p_approval uuid, p_verdict text, p_digest text, p_by text, p_body text, p_content bytea,
  p_content_digest bytea
) returns table (outcome text, state text, decided_by text, run uuid, seq bigint)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  task approvals;
  told record;
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  select * into task from approvals a where a.tenant = p_tenant and a.id = p_approval;
  if not found then
    return query select 'absent', null::text, null::text, null::uuid, null::bigint;
    return;
  end if;
  if not p_verdict = any (case task.kind when 'approval' then array['approved', 'rejected']
                                         else array['done', 'not_done', 'fail_run'] end) then
    return query select 'invalid', task.state, task.decided_by, task.run, null::bigint;
    return;
  end if;

  -- The run first, as everywhere; then the task, read again under its lock.
  perform from runs r where r.tenant = p_tenant and r.id = task.run for no key update;
  select * into task from approvals a where a.tenant = p_tenant and a.id = p_approval for no key update;
  if task.state <> 'pending' then
    return query select 'already', task.state, task.decided_by, task.run, null::bigint;
    return;
  end if;
  if task.digest <> p_digest then
    return query select 'mismatch', task.state, task.decided_by, task.run, null::bigint;
    return;
  end if;
  if exists (
    select from runs r join signals s on s.tenant = r.tenant and s.run = r.id and s.seq > r.folded_seq
    where r.tenant = p_tenant and r.id = task.run and s.kind = 'late_outcome' and s.dedupe ^@ ('late:' || task.key || ':')
  ) then
    return query select 'reported', task.state, task.decided_by, task.run, null::bigint;
    return;
  end if;
  update approvals a set state = p_verdict, decided_at = holdfast.now(), decided_by = p_by
  where a.tenant = p_tenant and a.id = p_approval;
  select d.seq into told
  from deliver_signal(p_tenant, task.run, 'decision', p_body, p_content, p_content_digest, p_by, null) d;
  return query select 'decided', p_verdict, p_by, task.run, told.seq;
end $$;

grant execute on function
  deliver_signal(uuid, uuid, text, text, bytea, bytea, text, text),
  decide_approval(uuid, uuid, text, text, text, text, bytea, bytea) to holdfast_worker, holdfast_api;
