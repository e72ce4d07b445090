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

create function lift_halt(p_tenant uuid, p_scope text, p_key text) returns boolean
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  delete from halts h where h.tenant = p_tenant and h.scope = p_scope and h.key = p_key;
  return found;
end $$;

grant execute on function declare_halt(uuid, text, text, text, text), lift_halt(uuid, text, text) to holdfast_api;
