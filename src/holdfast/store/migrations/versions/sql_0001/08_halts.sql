-- Halts: stops in force. Every append holds the halt lock shared until it commits; taking it exclusively waits for those
-- under way, and those that come later see the row. So when `declare_halt` has committed, no intent that it covers will.

create function declare_halt(p_tenant uuid, p_scope text, p_key text, p_reason text, p_by text) returns boolean
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  if p_scope not in ('tenant', 'task', 'run') then
    raise exception 'A tenant can halt itself, a task or a run, not "%".', p_scope using errcode = 'invalid_parameter_value';
  end if;
  perform pg_advisory_xact_lock(4857);
  insert into halts (tenant, scope, key, reason, by, at) values (p_tenant, p_scope, p_key, p_reason, p_by, holdfast.now())
  on conflict do nothing;
  return found;
end $$;

-- Lets the runs of a tenant go on that a halt held back, as far as no other does. One that is about to park for it is
-- marked: `tick` takes it up again.
create function free_halted(p_tenant uuid) returns void
language sql volatile set search_path = holdfast, pg_temp
as $$
  with moment as materialized (select holdfast.now() as at), held as (
    select r.tenant, r.id from runs r
    where r.tenant = p_tenant and (r.state = 'running' or (r.state = 'parked' and r.waiting_on = 'halt'))
    order by r.tenant, r.id for no key update
  )
  update runs r set stale = true, updated_at = moment.at,
    state = case when r.state = 'parked' then 'queued' else r.state end,
    waiting_on = null, wake_at = null,
    queued_at = case when r.state = 'parked' then moment.at else r.queued_at end
  from held, moment where r.tenant = held.tenant and r.id = held.id
$$;

create function lift_halt(p_tenant uuid, p_scope text, p_key text) returns boolean
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  delete from halts h where h.tenant = p_tenant and h.scope = p_scope and h.key = p_key;
  if not found then
    return false;
  end if;
  perform free_halted(p_tenant);
  return true;
end $$;

grant execute on function declare_halt(uuid, text, text, text, text), lift_halt(uuid, text, text) to holdfast_api;
