-- Halts: stops in force. Every append holds the halt lock shared until it commits; taking it exclusively waits for those
-- under way, and those that come later see the row. So when `declare_halt` has committed, no intent that it covers will.
-- These functions belong to the engine: what a tenant's halt holds back may be held back by the platform's too, which no
-- tenant sees. `19_halts.sql` has the platform's own, and what workers say.
set local role holdfast_engine;

-- Whether a run may be held back by this halt: by tool or model, any run of the tenant's may.
create function concerns(h halts, r runs) returns boolean
language sql immutable set search_path = holdfast, pg_temp
as $$
  select (h.scope = 'everything' or r.tenant = h.tenant) and case h.scope
    when 'run' then r.id::text = h.key
    when 'session' then r.session::text = h.key
    when 'user' then r.principal = h.key
    when 'task' then r.task = h.key
    else true end
$$;

create function note_halt(h halts, p_actor text, p_action text) returns void
language sql volatile set search_path = holdfast, pg_temp
as $$
  insert into audit_log (tenant, at, id, actor, action, target, details)
  values (h.tenant, clock_timestamp(), gen_random_uuid(), p_actor, p_action, h.id::text, json_build_object('scope', h.scope,
    'key', h.key, 'reason', h.reason, 'authority', h.authority, 'expires_at', h.expires_at)::text)
$$;

-- Puts a halt in force. One of the same that is in force already is answered instead; it stays for as long as the longer
-- of both, and takes to lift what the stronger takes.
create function put_halt(
  p_tenant uuid, p_id uuid, p_scope text, p_key text, p_reason text, p_by text, p_authority int, p_for_s double precision,
  out halt uuid, out is_new boolean
)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  moment timestamptz;
  until timestamptz;
  put halts;
begin
  perform pg_advisory_xact_lock(4857);  -- the halt lock
  moment := holdfast.now();
  until := moment + make_interval(secs => p_for_s);
  update halts h set authority = greatest(h.authority, p_authority),
    expires_at = case when h.expires_at is not null and until is not null then greatest(h.expires_at, until) end
  where h.tenant = p_tenant and h.scope = p_scope and h.key = p_key and h.lifted_at is null
    and (case when h.authority = 1 and h.scope <> 'user' then h.by else '' end)
      = (case when p_authority = 1 and p_scope <> 'user' then p_by else '' end)
  returning h.* into put;
  is_new := put.id is null;
  if is_new then
    insert into halts (tenant, id, scope, key, reason, by, authority, at, expires_at)
    values (p_tenant, p_id, p_scope, p_key, p_reason, p_by, p_authority, moment, until)
    returning * into put;
  end if;
  halt := put.id;
  perform note_halt(put, p_by, case when is_new then 'halt.declared' else 'halt.declared_again' end);
end $$;

-- Halts a part of a tenant, or all of it. The platform, its tenant set, halts everything.
create function declare_halt(
  p_tenant uuid, p_id uuid, p_scope text, p_key text, p_reason text, p_by text, p_authority int, p_for_s double precision,
  out halt uuid, out is_new boolean
)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_stand(p_tenant);
  if p_scope = 'everything' then
    perform must_be_platform();
  end if;
  select p.halt, p.is_new into halt, is_new
  from put_halt(p_tenant, p_id, p_scope, p_key, p_reason, p_by, p_authority, p_for_s) p;
end $$;

-- Queues again what a lifted halt held back, at most so many, as far as no other halt holds it. When none is left, the
-- halt is done with.
create function free_halted(h halts, p_limit int) returns int
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  moment timestamptz := holdfast.now();
  freed int;
begin
  with held as (
    select r.tenant, r.id from runs r
    where r.state = 'parked' and r.waiting_on = 'halt' and (h.scope = 'everything' or r.tenant = h.tenant)
      and concerns(h, r) and not is_halted(r.tenant, r.id, r.task, r.session, r.principal, null)
    order by r.tenant, r.id limit p_limit for no key update skip locked
  )
  update runs r set state = 'queued', stale = true, waiting_on = null, wake_at = null, queued_at = moment, updated_at = moment
  from held where r.tenant = held.tenant and r.id = held.id;
  get diagnostics freed = row_count;
  if not exists (
    select from runs r where r.state = 'parked' and r.waiting_on = 'halt' and (h.scope = 'everything' or r.tenant = h.tenant)
      and concerns(h, r) and not is_halted(r.tenant, r.id, r.task, r.session, r.principal, null)
  ) then
    update halts x set freed_at = moment where x.tenant = h.tenant and x.id = h.id;
  end if;
  return freed;
end $$;

-- Ends a halt, whose row the caller has locked, under the halt lock: so that whoever parks for it has parked, or sees that
-- it has ended. A run that is about to park is marked, and `tick` takes it up again. What was held back is queued a hundred
-- runs at a time, here and by ticks, so that workers are not asked for all of it at once.
create function end_halt(h halts, p_by text, p_action text) returns void
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  moment timestamptz := holdfast.now();
begin
  update halts x set lifted_at = moment, lifted_by = p_by where x.tenant = h.tenant and x.id = h.id;
  perform note_halt(h, p_by, p_action);
  with held as (
    select r.tenant, r.id from runs r
    where r.state = 'running' and (h.scope = 'everything' or r.tenant = h.tenant) and concerns(h, r)
    order by r.tenant, r.id for no key update
  )
  update runs r set stale = true, updated_at = moment from held where r.tenant = held.tenant and r.id = held.id;
  perform free_halted(h, 100);
end $$;

-- Lifts a halt: 'lifted'; 'unchanged' when it was already; 'weak' when that takes more authority; 'suspension' when it
-- belongs to a suspended tenant, which is resumed instead; 'absent', as one that p_only did not declare and is not held
-- back by.
create function lift_halt(p_tenant uuid, p_id uuid, p_by text, p_authority int, p_only text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  found_one halts;
begin
  perform must_stand(p_tenant);
  perform pg_advisory_xact_lock(4857);  -- the halt lock
  select * into found_one from halts h where h.tenant = p_tenant and h.id = p_id
    and (p_only is null or h.by = p_only or (h.scope = 'user' and h.key = p_only)) for update;
  if not found then
    return 'absent';
  elsif found_one.lifted_at is not null then
    return 'unchanged';
  elsif found_one.scope = 'tenant' and found_one.key = 'suspended' then
    return 'suspension';
  elsif found_one.authority > p_authority or found_one."by" <> p_only then
    return 'weak';
  end if;
  perform end_halt(found_one, p_by, 'halt.lifted');
  return 'lifted';
end $$;

grant execute on function declare_halt(uuid, uuid, text, text, text, text, int, double precision),
  lift_halt(uuid, uuid, text, int, text) to holdfast_api;
set local role holdfast_owner;
