-- Claiming: how a queued run comes to a worker, and how it goes back.
set local role holdfast_engine;

create function is_alive(p_worker uuid, moment timestamptz) returns boolean
language sql stable set search_path = holdfast, pg_temp
as $$ select exists (select from workers w where w.id = p_worker and w.lease_until > moment) $$;

-- The queued runs that a worker may claim, best first: each tenant's own by priority and then age, and the tenants in
-- turns, so that a tenant with many runs waits behind one with few. `offer` is the position in p_tasks.
-- The recursion steps from one tenant that has something queued to the next by index, and looks at no other row. Of each
-- it takes more than its share of what is wanted, for others may be claiming the same, but not all that is wanted where
-- many wait: the next claim goes on from there.
create function claimable(p_want int, p_tasks text[], p_versions text[]) returns table (offer int, tenant uuid, id uuid)
language sql stable set search_path = holdfast, pg_temp
as $$
  with recursive line as (
    select o.nth::int as offer, o.task, o.version,
      (select q.tenant from runs q where q.state = 'queued' and q.task = o.task and q.task_version = o.version
       order by q.tenant limit 1) as tenant
    from unnest(p_tasks, p_versions) with ordinality as o (task, version, nth)
    union all
    select l.offer, l.task, l.version,
      (select q.tenant from runs q where q.state = 'queued' and q.task = l.task and q.task_version = l.version
       and q.tenant > l.tenant order by q.tenant limit 1)
    from line l where l.tenant is not null
  ),
  share as (
    select least(p_want * 2, greatest(8, p_want * 4 / greatest(count(l.tenant), 1))) as most from line l
  ),
  waiting as (
    select l.offer, q.tenant, q.id, q.priority, q.queued_at
    from line l cross join lateral (
      select q.tenant, q.id, q.priority, q.queued_at from runs q
      where q.state = 'queued' and q.task = l.task and q.task_version = l.version and q.tenant = l.tenant
      order by q.priority desc, q.queued_at, q.id limit (select most from share)
    ) q
  ),
  running as (
    select t.tenant, r.count from (select distinct w.tenant from waiting w) t
    cross join lateral (select count(*) from runs r where r.state = 'running' and r.tenant = t.tenant) r
  ),
  turns as (
    select w.*, r.count + row_number() over (partition by w.tenant order by w.priority desc, w.queued_at, w.id) as turn
    from waiting w join running r on r.tenant = w.tenant
  )
  select t.offer, t.tenant, t.id from turns t order by t.turn, t.queued_at, t.id
$$;

-- Gives queued runs to a worker: at most p_want in all and p_free[i] of p_tasks[i] at p_versions[i]. Nothing for a
-- worker whose lease has expired. What another is claiming at this moment is skipped, not waited for.
-- What a halt covers is parked here, when its turn comes: it costs one look each, and nobody waits behind it. What is to be
-- cancelled is given all the same, since that takes no intent. The halt lock is held meanwhile, as in `append`.
-- The disk is not waited for. Nothing rests on a claim until the first append under it, and that commit is on disk only
-- with everything before it: after a crash of the server a claim that nothing was appended under may never have been.
create function claim_runs(p_worker uuid, p_want int, p_tasks text[], p_versions text[], p_free int[])
returns table (tenant uuid, id uuid, task text, task_version text, epoch bigint, seq bigint, head bytea, inbox_seq bigint,
  folded_seq bigint, cancelling boolean, claims smallint, rewound boolean, subject text, principal text, session uuid,
  parent uuid)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  moment timestamptz := holdfast.now();
  candidate record;
  any_halt boolean;
  parked int;
begin
  if not is_alive(p_worker, moment) then
    return;
  end if;
  perform set_config('synchronous_commit', 'off', true);
  any_halt := exists (select from halts h where h.lifted_at is null);
  if any_halt then
    perform pg_advisory_xact_lock_shared(4857);
  end if;
  perform pg_advisory_xact_lock_shared(4862);  -- whoever changes a tenant's limits has committed, or finds these runs held
  -- Once, but for what is parked: then there may be more behind it.
  for pass in 1..20 loop
    parked := 0;
    for candidate in select * from claimable(p_want, p_tasks, p_versions) loop
      exit when p_want <= 0;
      continue when p_free[candidate.offer] <= 0;
      perform from runs r where r.tenant = candidate.tenant and r.id = candidate.id and r.state = 'queued'
        for no key update skip locked;
      continue when not found;
      if any_halt then
        update runs r set state = 'parked', waiting_on = 'halt', stale = false, updated_at = moment
        where r.tenant = candidate.tenant and r.id = candidate.id and not r.cancelling
          and is_halted(r.tenant, r.id, r.task, r.session, r.principal, null);
        parked := parked + found::int;
        continue when found;
      end if;
      return query
        update runs r set state = 'running', worker = p_worker, epoch = r.epoch + 1,
          claims = least(r.claims + 1, 32767), stale = false, started_at = coalesce(r.started_at, moment),
          updated_at = moment
        where r.tenant = candidate.tenant and r.id = candidate.id
        returning r.tenant, r.id, r.task, r.task_version, r.epoch, r.seq, r.head, r.inbox_seq, r.folded_seq, r.cancelling,
          r.claims, r.rewound, r.subject, r.principal, r.session, r.parent;
      p_want := p_want - 1;
      p_free[candidate.offer] := p_free[candidate.offer] - 1;
    end loop;
    exit when parked = 0 or p_want <= 0;
  end loop;
end $$;

-- Gives runs back: queued again at once, in their old place. A hand-over is not counted as a failed attempt; with
-- p_failed it is, and the third in a row without an outcome ends in quarantine. Answers how many were this worker's.
create function release_runs(p_worker uuid, p_runs uuid[], p_failed boolean) returns int
language plpgsql volatile security definer set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
as $$
declare
  moment timestamptz := holdfast.now();
  released int;
begin
  with mine as (
    select r.tenant, r.id, p_failed and r.claims >= 3 and not r.cancelling as is_hopeless
    from runs r where r.state = 'running' and r.worker = p_worker and r.id = any (p_runs)
    order by r.tenant, r.id for no key update
  )
  update runs r set worker = null, updated_at = moment,
    state = case when mine.is_hopeless then 'parked' else 'queued' end,
    waiting_on = case when mine.is_hopeless then 'quarantine' end,
    claims = case when p_failed then r.claims else greatest(r.claims - 1, 0) end
  from mine where r.tenant = mine.tenant and r.id = mine.id;
  get diagnostics released = row_count;
  return released;
end $$;

grant execute on function claim_runs(uuid, int, text[], text[], int[]), release_runs(uuid, uuid[], boolean) to holdfast_worker;
set local role holdfast_owner;

-- Looks into a tenant for a worker that carries runs of all: sets it where none is set. Where another is set, a look into
-- this one is a mistake. Answers what was set, to be put back.
create function look_into(p_tenant uuid) returns text
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  before text := coalesce(current_setting('holdfast.tenant', true), '');
begin
  if before not in ('', p_tenant::text) then
    raise exception 'The tenant of this call is not the tenant of this transaction.'
      using errcode = 'insufficient_privilege', hint = 'Call it where no tenant is set.';
  end if;
  perform set_config('holdfast.tenant', p_tenant::text, true);
  return before;
end $$;

grant execute on function look_into(uuid) to holdfast_worker;

-- All that a run recorded, in one row, where that is little; no row where it is more. For whoever has just claimed it: a
-- new run is begun without coming back for its input. It reads as its caller, in the run's tenant, like any other reader.
create function short_journal(p_tenant uuid, p_run uuid, p_seq bigint)
returns table (seqs bigint[], types text[], ats timestamptz[], bodies bytea[], hashes bytea[], digests bytea[], contents bytea[])
language plpgsql volatile set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
as $$
declare
  before text;
begin
  if p_seq > 16 then
    return;
  end if;
  before := look_into(p_tenant);
  if (select coalesce(sum(octet_length(e.body)), 0) from events e where e.tenant = p_tenant and e.run = p_run)
     + (select coalesce(sum(octet_length(b.body)), 0) from blobs b where b.tenant = p_tenant and b.run = p_run) <= 65536 then
    return query
      select e.seqs, e.types, e.ats, e.bodies, e.hashes, b.digests, b.contents
      from (
        select array_agg(j.seq) as seqs, array_agg(j.type) as types, array_agg(j.at) as ats,
          array_agg(convert_to(j.body, 'UTF8')) as bodies, array_agg(j.hash) as hashes
        from (select * from events where tenant = p_tenant and run = p_run order by seq) j
      ) e, (
        select coalesce(array_agg(c.digest), '{}') as digests, coalesce(array_agg(c.body), '{}') as contents
        from blobs c where c.tenant = p_tenant and c.run = p_run
      ) b;
  end if;
  perform set_config('holdfast.tenant', before, true);
end $$;

grant execute on function short_journal(uuid, uuid, bigint) to holdfast_worker;

-- The id of a principal, as journals and runs name it; null where the text is none.
create function principal_id(p_principal text) returns uuid
language sql immutable set search_path = holdfast, pg_temp
as $$
  select case when p_principal ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then p_principal::uuid end
$$;

-- Whom a run is for, as they stand now: no row where there is nobody of that id. `claims_age_s` is how long ago their
-- provider last said who they are, null where none ever did; `ceilings` are the limits of their tenant. It reads as its
-- caller, in the run's tenant. Read after the run's row was locked and `stale` taken from it, it misses no change that
-- `stale` told of.
create function acting(p_tenant uuid, p_principal text)
returns table (kind text, name text, disabled boolean, roles text[], claims_age_s double precision, ceilings jsonb)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  before text := look_into(p_tenant);
begin
  return query
    select p.kind, p.name, p.disabled_at is not null,
      array(select m.role from memberships m where m.tenant = p.tenant and m.principal = p.id),
      extract(epoch from holdfast.now() - p.claims_at)::double precision,
      (select t.ceilings from tenants t where t.id = p.tenant)
    from principals p
    where p.tenant = p_tenant and p.id = principal_id(p_principal);
  perform set_config('holdfast.tenant', before, true);
end $$;

-- For the holder of a run whose rights, or whose tenant's limits, have changed or whose principal has to sign in again: who it is for, as they stand
-- now, and whether it is still held. A sign-in that is under way is waited for: it has been when this reads, or it comes
-- later and finds the run held, or parked, and marks or wakes it.
create function renew_rights(p_tenant uuid, p_run uuid, p_worker uuid, p_epoch bigint)
returns table (kind text, name text, disabled boolean, roles text[], claims_age_s double precision, ceilings jsonb)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  whose text;
begin
  perform must_be_tenant(p_tenant);
  perform from principals p where p.tenant = p_tenant
    and p.id = (select principal_id(r.principal) from runs r where r.tenant = p_tenant and r.id = p_run) for share;
  update runs r set stale = false
  where r.tenant = p_tenant and r.id = p_run and r.state = 'running' and r.worker = p_worker and r.epoch = p_epoch
  returning r.principal into whose;
  return query select a.kind, a.name, a.disabled, a.roles, a.claims_age_s, a.ceilings from acting(p_tenant, whose) a;
end $$;

grant execute on function principal_id(text), acting(uuid, text), renew_rights(uuid, uuid, uuid, bigint) to holdfast_worker;
