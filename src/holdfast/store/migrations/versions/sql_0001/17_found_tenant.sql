-- A tenant with its first administrator and that one's key: all three or nothing, so that nobody has to mend half a tenant.

-- The caller is in the platform's tenant, as for all that manages tenants. Outcomes as of `create_tenant`, and 'asked_before'
-- when the idempotency key came before.
create function found_tenant(
  p_id uuid, p_name text, p_admin uuid, p_admin_name text, p_key_id uuid, p_key_name text, p_digest bytea, p_by text,
  p_scope text default null, p_key text default null, p_request bytea default null
) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  platform uuid := '00000000-0000-7000-8000-000000000000';
  outcome text;
begin
  perform begin_change(platform);
  if asked_before(platform, p_scope, p_key) then
    return 'asked_before';
  end if;
  outcome := create_tenant(p_id, p_name, p_by);
  if outcome <> 'created' then
    return outcome;
  end if;
  perform keep_request(platform, p_scope, p_key, p_request, p_id);
  perform set_config('holdfast.tenant', p_id::text, true);
  perform create_principal(p_id, p_admin, 'person', p_admin_name, null, '{admin}', p_by);
  perform create_key(p_id, p_key_id, p_admin, p_key_name, p_digest, null, null, p_by);
  perform set_config('holdfast.tenant', platform::text, true);
  return outcome;
end $$;

grant execute on function
  found_tenant(uuid, text, uuid, text, uuid, text, bytea, text, text, text, bytea) to holdfast_api;
