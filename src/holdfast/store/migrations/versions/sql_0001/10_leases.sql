-- Leases: one row per worker. A worker that does not renew in time has lost all its runs.
set local role holdfast_engine;

-- Registers a worker; told again, as after a lost reply, it changes nothing.
create function register_worker(p_id uuid, p_host text, p_pid int, p_serves jsonb, p_lease_s double precision) returns void
language sql volatile security definer set search_path = holdfast, pg_temp
as $$
  insert into workers (id, host, pid, serves, lease_s, lease_until, started_at)
  select p_id, p_host, p_pid, p_serves, p_lease_s, n.now + make_interval(secs => p_lease_s), n.now from holdfast.now() n (now)
  on conflict do nothing
$$;

-- Renews a worker's lease, and tells it what to look at. The first row says whether the lease holds; if it had expired
-- it is not renewed, and the worker has lost its runs and registers under a new id. Further rows, by kind:
--   attention  a run of this worker with signals that its writer has not folded in
--   stray      a run of this worker that it did not name: it dropped it, and should release it
--   lost       a run that it named and does not hold any more
create function renew_lease(p_id uuid, p_holding uuid[])
returns table (ok boolean, kind text, tenant uuid, run uuid, inbox_seq bigint, cancelling boolean)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  moment timestamptz := holdfast.now();
begin
  update workers w set lease_until = moment + make_interval(secs => w.lease_s)
  where w.id = p_id and w.lease_until > moment;
  ok := found;
  return query select ok, null::text, null::uuid, null::uuid, null::bigint, null::boolean;
  if not ok then
    return;
  end if;
  return query
    select true, case when r.id = any (p_holding) then 'attention' else 'stray' end, r.tenant, r.id, r.inbox_seq, r.cancelling
    from runs r where r.state = 'running' and r.worker = p_id
      and (r.inbox_seq > r.folded_seq or not r.id = any (p_holding));
  return query
    select true, 'lost', null::uuid, h.run, null::bigint, null::boolean from unnest(p_holding) as h (run)
    where h.run not in (select r.id from runs r where r.state = 'running' and r.worker = p_id);
end $$;

-- A clean end: hands over every run and forgets the worker. Answers how many runs that were.
create function leave(p_id uuid) returns int
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  released int;
begin
  perform from workers w where w.id = p_id for update;
  released := release_runs(p_id, array(select r.id from runs r where r.state = 'running' and r.worker = p_id), false);
  delete from workers w where w.id = p_id;
  return released;
end $$;

grant execute on function register_worker(uuid, text, int, jsonb, double precision), renew_lease(uuid, uuid[]), leave(uuid)
  to holdfast_worker;
set local role holdfast_owner;
