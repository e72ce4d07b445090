-- The tick: what time alone brings about. Any number of workers may call it at any time: what one is settling, the others
-- skip. It moves at most p_limit runs per rule.
set local role holdfast_engine;

-- Takes the runs of dead workers back. A worker is dead when its lease has expired, or it left or was never there.
-- The third claim in a row without an outcome ends in quarantine: such a run kills its workers. One that is to be
-- cancelled is queued all the same, for that needs none of its code.
create function tick_rescue(moment timestamptz, p_limit int, out rescued int, out quarantined int)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  dead uuid[];
begin
  with recursive holder as (
    (select r.worker from runs r where r.state = 'running' order by r.worker limit 1)
    union all
    select (select r.worker from runs r where r.state = 'running' and r.worker > h.worker order by r.worker limit 1)
    from holder h where h.worker is not null
  )
  select array_agg(h.worker) into dead from holder h where h.worker is not null and not is_alive(h.worker, moment);

  -- A lease that is being renewed at this moment is locked, and not dead yet.
  select array_agg(d.worker) into dead from unnest(dead) as d (worker)
  where not exists (select from workers w where w.id = d.worker)
    or exists (select from workers w where w.id = d.worker and w.lease_until <= moment for update skip locked);

  with lost as (
    select r.tenant, r.id from runs r where r.state = 'running' and r.worker = any (dead)
    order by r.tenant, r.id limit p_limit for no key update skip locked
  ), moved as (
    update runs r set worker = null, updated_at = moment,
      state = case when r.claims >= 3 and not r.cancelling then 'parked' else 'queued' end,
      waiting_on = case when r.claims >= 3 and not r.cancelling then 'quarantine' end
    from lost where r.tenant = lost.tenant and r.id = lost.id
    returning r.state
  )
  select count(*) filter (where m.state = 'queued'), count(*) filter (where m.state = 'parked')
  into rescued, quarantined from moved m;

  delete from workers w where w.id in (
    select x.id from workers x where x.lease_until < moment - interval '10 minutes' for update skip locked)
    and not exists (select from runs r where r.state = 'running' and r.worker = w.id);
end $$;

-- Wakes the runs whose time has come.
create function tick_wake(moment timestamptz, p_limit int) returns int
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  woken int;
begin
  with due as (
    select r.tenant, r.id from runs r where r.state = 'parked' and r.wake_at <= moment
    order by r.wake_at limit p_limit for no key update skip locked
  )
  update runs r set state = 'queued', waiting_on = null, wake_at = null, queued_at = moment, unserved = false,
    updated_at = moment
  from due where r.tenant = due.tenant and r.id = due.id;
  get diagnostics woken = row_count;
  return woken;
end $$;

-- Takes up again what parked at the very moment in which that which held it back went away.
create function tick_freed(moment timestamptz, p_limit int) returns int
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  freed int;
begin
  with free as (
    select r.tenant, r.id from runs r where r.state = 'parked' and r.stale and r.waiting_on in ('halt', 'rights', 'login', 'budget')
    order by r.tenant, r.id limit p_limit for no key update skip locked
  )
  update runs r set state = 'queued', waiting_on = null, wake_at = null, queued_at = moment, updated_at = moment
  from free where r.tenant = free.tenant and r.id = free.id;
  get diagnostics freed = row_count;
  return freed;
end $$;

-- Queues more of what lifted halts held back.
create function tick_lifted(p_limit int) returns int
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  freed int := 0;
  lifted halts;
begin
  for lifted in select * from halts h where h.lifted_at is not null and h.freed_at is null order by h.lifted_at
      for no key update skip locked loop
    freed := freed + free_halted(lifted, p_limit - freed);
    exit when freed >= p_limit;
  end loop;
  return freed;
end $$;

-- What live workers serve.
create function served(moment timestamptz) returns table (task text, version text)
language sql stable set search_path = holdfast, pg_temp
as $$
  select distinct s.key, v.value from workers w, jsonb_each(w.serves) s, jsonb_array_elements_text(s.value) v
  where w.lease_until > moment
$$;

-- Parks queued runs of a version that no live worker serves while some live worker serves another version of the task
-- (otherwise the workers are merely not up yet), and queues them again once their version is served. Runs that were
-- parked on code for another reason, as a divergence, stay.
create function tick_code(moment timestamptz, p_limit int, out parked int, out unparked int)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
begin
  with recursive kind as (
    (select r.task, r.task_version from runs r where r.state = 'queued' order by r.task, r.task_version limit 1)
    union all
    select n.task, n.task_version from kind k cross join lateral (
      select r.task, r.task_version from runs r where r.state = 'queued'
        and (r.task, r.task_version) > (k.task, k.task_version) order by r.task, r.task_version limit 1) n
  ), orphan as (
    select k.task, k.task_version from kind k
    where k.task in (select s.task from served(moment) s)
      and not exists (select from served(moment) s where s.task = k.task and s.version = k.task_version)
  ), stuck as (
    select r.tenant, r.id from orphan o join runs r on r.state = 'queued' and r.task = o.task
      and r.task_version = o.task_version
    limit p_limit for no key update of r skip locked
  )
  update runs r set state = 'parked', waiting_on = 'code', unserved = true, updated_at = moment
  from stuck where r.tenant = stuck.tenant and r.id = stuck.id;
  get diagnostics parked = row_count;

  with free as (
    select r.tenant, r.id from served(moment) s join runs r on r.unserved and r.task = s.task and r.task_version = s.version
    limit p_limit for no key update of r skip locked
  )
  update runs r set state = 'queued', waiting_on = null, unserved = false, updated_at = moment
  from free where r.tenant = free.tenant and r.id = free.id;
  get diagnostics unparked = row_count;
end $$;

-- A standby was promoted, or a backup restored: what was acknowledged shortly before may be gone, and effects that
-- happened may be missing. Every unfinished run is told so at its next claim.
create function tick_history(moment timestamptz) returns int
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  now_is record;
  marked int := 0;
begin
  select * into now_is from history();
  perform from timeline t where t.system_identifier <> now_is.system_identifier or t.timeline <> now_is.timeline
    for update skip locked;
  if found then
    with unfinished as (
      select r.tenant, r.id from runs r where r.state in ('queued', 'running', 'parked')
      order by r.tenant, r.id for no key update
    )
    update runs r set rewound = true, updated_at = moment from unfinished u where r.tenant = u.tenant and r.id = u.id;
    get diagnostics marked = row_count;
    update timeline t set system_identifier = now_is.system_identifier, timeline = now_is.timeline;
  end if;
  return marked;
end $$;

-- Does to human tasks what their time brings: whom they ask next, and that they are no longer open. Each in the scope of
-- its tenant, by `let_time_pass` (18_approvals.sql), which waits for nobody.
create function tick_approvals(moment timestamptz, p_limit int, out expired int, out escalated int)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  before text := coalesce(current_setting('holdfast.tenant', true), '');
  due record;
  came record;
begin
  expired := 0;
  escalated := 0;
  for due in select a.tenant, a.id from approvals a where a.state = 'pending' and a.due_at <= moment
    order by a.due_at limit p_limit
  loop
    perform set_config('holdfast.tenant', due.tenant::text, true);
    select * into came from let_time_pass(due.tenant, due.id);
    expired := expired + came.expired;
    escalated := escalated + came.escalated;
  end loop;
  perform set_config('holdfast.tenant', before, true);
end $$;

create function tick(p_limit int)
returns table (rescued int, quarantined int, woken int, parked int, unparked int, rewound int, expired int, escalated int,
  halts_due int)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
as $$
declare
  moment timestamptz := holdfast.now();
begin
  rewound := tick_history(moment);
  select t.rescued, t.quarantined into rescued, quarantined from tick_rescue(moment, p_limit) t;
  woken := tick_wake(moment, p_limit) + tick_freed(moment, p_limit) + tick_lifted(p_limit);
  -- To end them takes the halt lock, before any row: `expire_halts` does, in a transaction of its own.
  halts_due := (select count(*) from halts h where h.lifted_at is null and h.expires_at <= moment);
  select t.parked, t.unparked into parked, unparked from tick_code(moment, p_limit) t;
  select t.expired, t.escalated into expired, escalated from tick_approvals(moment, p_limit) t;
  begin
    perform ensure_partitions(2);
  exception when lock_not_available then
    null;  -- somebody reads the default partition; the next tick tries again, and there are two months' time
  end;
  return next;
end $$;

grant execute on function tick(int) to holdfast_worker;
set local role holdfast_owner;
