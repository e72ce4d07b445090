-- Halts, beside `08_halts.sql`: what workers hear and say of them, those that run out, and the platform's.
set local role holdfast_engine;

-- For workers, twice a second: every halt in force, and in the same round trip what this worker has to say of those it
-- knows. `p_acks` is a JSON array, one object for each halt: its tenant and id; how many seconds ago this worker last began
-- something that the halt covers (`dispatched_s`), the last call ended that could be cancelled (`cancelled_s`), and the last
-- effect that could not (`finished_s`), each null where there was none; and what it still has under way (`in_flight`). Ages
-- and no times: clocks differ between machines.
create function watch_halts(p_worker uuid, p_acks text) returns table (tenant uuid, id uuid, scope text, key text)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  moment timestamptz;
begin
  if p_acks is not null then
    moment := holdfast.now();
    insert into halt_acks as known (tenant, halt, worker, host, pid, at, dispatched_at, cancelled_at, finished_at, in_flight)
    select h.tenant, h.id, w.id, w.host, w.pid, moment, moment - make_interval(secs => a.dispatched_s),
      moment - make_interval(secs => a.cancelled_s), moment - make_interval(secs => a.finished_s), a.in_flight::text
    from jsonb_to_recordset(p_acks::jsonb) as a (tenant uuid, halt uuid, dispatched_s double precision,
      cancelled_s double precision, finished_s double precision, in_flight jsonb)
    join halts h on h.tenant = a.tenant and h.id = a.halt
    join workers w on w.id = p_worker
    order by h.tenant, h.id
    on conflict (tenant, halt, worker) do update set
      dispatched_at = greatest(known.dispatched_at, excluded.dispatched_at),
      cancelled_at = greatest(known.cancelled_at, excluded.cancelled_at),
      finished_at = greatest(known.finished_at, excluded.finished_at), in_flight = excluded.in_flight;
  end if;
  return query select h.tenant, h.id, h.scope, h.key from halts h where h.lifted_at is null;
end $$;

-- For a worker that is about to do what no intent announces, as to ask a probe: whether a halt covers the run, or any of
-- these tools. As an intent's, the answer is given under the halt lock.
create function is_held_back(p_tenant uuid, p_run uuid, p_names jsonb) returns boolean
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_tenant(p_tenant);
  perform pg_advisory_xact_lock_shared(4857);  -- the halt lock
  return exists (select from runs r where r.tenant = p_tenant and r.id = p_run
                 and is_halted(r.tenant, r.id, r.task, r.session, r.principal, p_names));
end $$;

-- Ends halts whose time is up, as if they were lifted. Answers how many. For whoever was told by `tick` that there are any.
create function expire_halts() returns int
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  ended int := 0;
  due halts;
begin
  perform pg_advisory_xact_lock(4857);  -- the halt lock
  for due in select * from halts h where h.lifted_at is null and h.expires_at <= holdfast.now()
      order by h.tenant, h.id for update loop
    perform end_halt(due, 'expiry', 'halt.expired');
    ended := ended + 1;
  end loop;
  return ended;
end $$;

grant execute on function watch_halts(uuid, text), is_held_back(uuid, uuid, jsonb), expire_halts() to holdfast_worker;

-- The worker processes that a halt waits for: those that were at work when it was declared or have said that they know of
-- it, and which they have. One whose lease has run out has lost its runs; it begins nothing, but what it had begun may
-- still go on.
create function halt_workers(p_tenant uuid, p_halt uuid)
returns table (worker uuid, host text, pid int, alive boolean, knows boolean)
language plpgsql stable security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
begin
  perform must_be_tenant(p_tenant);
  return query
    select w.id, w.host, w.pid, w.lease_until > holdfast.now(), a.worker is not null
    from halts h cross join workers w
    left join halt_acks a on a.tenant = h.tenant and a.halt = h.id and a.worker = w.id
    where h.tenant = p_tenant and h.id = p_halt and (w.started_at <= h.at or a.worker is not null)
    order by w.started_at, w.id;
end $$;

-- The platform halts a tenant: the halt is the tenant's row, so that the tenant sees it, and takes the platform to lift.
create function halt_tenant(
  p_tenant uuid, p_id uuid, p_reason text, p_by text, p_for_s double precision, out halt uuid, out is_new boolean
)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_platform();
  if not exists (select from tenants t where t.id = p_tenant) then
    return;
  end if;
  select p.halt, p.is_new into halt, is_new from put_halt(p_tenant, p_id, 'tenant', '', p_reason, p_by, 4, p_for_s) p;
  insert into audit_log (tenant, at, id, actor, action, target, details)
  values ('00000000-0000-7000-8000-000000000000', clock_timestamp(), gen_random_uuid(), p_by, 'halt.declared', halt::text,
          json_build_object('tenant', p_tenant, 'reason', p_reason)::text);
end $$;

-- The halts in force of everything, for a tenant: they hold it back too. Who of the platform it was is the platform's.
create function everything_halts(p_tenant uuid) returns setof halts
language plpgsql stable security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_tenant(p_tenant);
  return query select h.tenant, h.id, h.scope, h.key, h.reason, 'platform', h.authority, h.at, h.expires_at, h.lifted_at,
    h.lifted_by, h.freed_at from halts h where h.scope = 'everything' and h.lifted_at is null;
end $$;

-- What the platform has halted, in whichever tenant, newest first; p_id names one.
create function platform_halts(p_id uuid, p_limit int) returns setof halts
language plpgsql stable security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_tenant('00000000-0000-7000-8000-000000000000');
  return query select h.* from halts h where h.authority = 4 and (p_id is null or h.id = p_id)
    order by h.at desc, h.id desc limit p_limit;
end $$;

grant execute on function halt_workers(uuid, uuid), everything_halts(uuid), halt_tenant(uuid, uuid, text, text, double precision),
  platform_halts(uuid, int) to holdfast_api;
set local role holdfast_owner;
