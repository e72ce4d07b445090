-- Identities: the people and services of a tenant, their roles and keys. Every change is in the audit log with it, or
-- neither is. These functions stay inside one tenant, the caller's; those at the end manage tenants, from the platform's.

-- Notes what was done. `p_details` holds no content and no personal data: ids, roles, scopes, counts.
create function note(p_tenant uuid, p_actor text, p_action text, p_target text, p_details text) returns void
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_stand(p_tenant);
  insert into audit_log (tenant, at, id, actor, action, target, details)
  values (p_tenant, clock_timestamp(), gen_random_uuid(), p_actor, p_action, p_target, p_details);
end $$;

-- One change at a time in a tenant, so that two administrators cannot each take the other's role.
create function begin_change(p_tenant uuid) returns void
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
begin
  perform must_stand(p_tenant);
  perform from tenants t where t.id = p_tenant for update;
end $$;

-- Tells the live runs of a principal that its rights have changed: no intent of theirs commits until whoever holds them
-- has read the rights anew. Those that were parked for want of rights, or of a sign-in, try again.
create function rights_changed(p_tenant uuid, p_principal uuid) returns void
language sql volatile set search_path = holdfast, pg_temp
as $$
  with moment as materialized (select holdfast.now() as at), live as (
    select r.tenant, r.id from runs r
    where r.tenant = p_tenant and r.principal = p_principal::text and r.state in ('queued', 'running', 'parked')
    order by r.tenant, r.id for no key update
  )
  update runs r set stale = true, updated_at = moment.at,
    state = case when r.waiting_on in ('rights', 'login') then 'queued' else r.state end,
    waiting_on = case when r.waiting_on not in ('rights', 'login') then r.waiting_on end,
    wake_at = case when r.waiting_on in ('rights', 'login') then null else r.wake_at end,
    queued_at = case when r.waiting_on in ('rights', 'login') then moment.at else r.queued_at end
  from live, moment where r.tenant = live.tenant and r.id = live.id
$$;

-- Tells the runs of a principal that has signed in again and may the same as before: those that wait for it go on, and those
-- that are held are looked at once more, for one may be about to wait. No others: somebody with many parked runs signs in often.
create function claims_renewed(p_tenant uuid, p_principal uuid) returns void
language sql volatile set search_path = holdfast, pg_temp
as $$
  with moment as materialized (select holdfast.now() as at), those as (
    select r.tenant, r.id from runs r
    where r.tenant = p_tenant and r.principal = p_principal::text
      and (r.state = 'running' or (r.state = 'parked' and r.waiting_on = 'login'))
    order by r.tenant, r.id for no key update
  )
  update runs r set stale = true, updated_at = moment.at,
    state = case when r.waiting_on = 'login' then 'queued' else r.state end,
    queued_at = case when r.waiting_on = 'login' then moment.at else r.queued_at end,
    waiting_on = nullif(r.waiting_on, 'login')
  from those, moment where r.tenant = those.tenant and r.id = those.id
$$;

-- Whether a tenant would be left without anybody who may manage it.
create function is_last_admin(p_tenant uuid, p_principal uuid) returns boolean
language sql stable set search_path = holdfast, pg_temp
as $$
  select exists (select from memberships m where m.tenant = p_tenant and m.principal = p_principal and m.role = 'admin')
    and not exists (
      select from memberships m join principals p on p.tenant = m.tenant and p.id = m.principal
      where m.tenant = p_tenant and m.role = 'admin' and m.principal <> p_principal and p.disabled_at is null)
$$;

-- Whether a tenant has as many principals as it may. Who is disabled does not count.
create function has_all_principals(p_tenant uuid) returns boolean
language sql stable set search_path = holdfast, pg_temp
as $$
  select coalesce((select count(*) from principals p where p.tenant = p_tenant and p.disabled_at is null)
    >= (select t.max_principals from tenants t where t.id = p_tenant), false)
$$;

-- 'created'; 'repeated' when this very principal is there already; 'asked_before' when the idempotency key came before;
-- 'taken' when the name is somebody else's; 'too_many'.
create function create_principal(
  p_tenant uuid, p_id uuid, p_kind text, p_name text, p_email text, p_roles text[], p_by text,
  p_scope text default null, p_key text default null, p_request bytea default null
) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform begin_change(p_tenant);
  if exists (select from principals p where p.tenant = p_tenant and p.id = p_id) then
    return 'repeated';
  end if;
  if asked_before(p_tenant, p_scope, p_key) then
    return 'asked_before';
  end if;
  if has_all_principals(p_tenant) then
    return 'too_many';
  end if;
  insert into principals (tenant, id, kind, name, email, created_at, created_by)
  values (p_tenant, p_id, p_kind, p_name, p_email, holdfast.now(), p_by) on conflict do nothing;
  if not found then
    return 'taken';
  end if;
  insert into memberships (tenant, principal, role, granted_at, granted_by)
  select p_tenant, p_id, r.role, holdfast.now(), p_by from unnest(p_roles) as r (role);
  perform keep_request(p_tenant, p_scope, p_key, p_request, p_id);
  perform note(p_tenant, p_by, 'principal.created', p_id::text,
    json_build_object('kind', p_kind, 'roles', p_roles)::text);
  return 'created';
end $$;

-- 'changed'; 'unchanged'; 'absent'.
create function grant_role(p_tenant uuid, p_principal uuid, p_role text, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform begin_change(p_tenant);
  if not exists (select from principals p where p.tenant = p_tenant and p.id = p_principal) then
    return 'absent';
  end if;
  insert into memberships (tenant, principal, role, granted_at, granted_by)
  values (p_tenant, p_principal, p_role, holdfast.now(), p_by) on conflict do nothing;
  if not found then
    return 'unchanged';
  end if;
  perform note(p_tenant, p_by, 'role.granted', p_principal::text, json_build_object('role', p_role)::text);
  perform rights_changed(p_tenant, p_principal);
  return 'changed';
end $$;

-- 'changed'; 'unchanged'; 'absent'; 'last_admin'.
create function revoke_role(p_tenant uuid, p_principal uuid, p_role text, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform begin_change(p_tenant);
  if not exists (select from principals p where p.tenant = p_tenant and p.id = p_principal) then
    return 'absent';
  end if;
  if p_role = 'admin' and is_last_admin(p_tenant, p_principal) then
    return 'last_admin';
  end if;
  delete from memberships m where m.tenant = p_tenant and m.principal = p_principal and m.role = p_role;
  if not found then
    return 'unchanged';
  end if;
  perform note(p_tenant, p_by, 'role.revoked', p_principal::text, json_build_object('role', p_role)::text);
  perform rights_changed(p_tenant, p_principal);
  return 'changed';
end $$;

-- A disabled principal may do nothing, by any credential, and its runs start nothing more. Outcomes as of `revoke_role`, and
-- 'too_many' when one more may not be enabled.
create function set_disabled(p_tenant uuid, p_principal uuid, p_disabled boolean, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform begin_change(p_tenant);
  if not exists (select from principals p where p.tenant = p_tenant and p.id = p_principal) then
    return 'absent';
  end if;
  if p_disabled and is_last_admin(p_tenant, p_principal) then
    return 'last_admin';
  end if;
  if not p_disabled and has_all_principals(p_tenant) and exists (
      select from principals p where p.tenant = p_tenant and p.id = p_principal and p.disabled_at is not null) then
    return 'too_many';
  end if;
  update principals p set disabled_at = case when p_disabled then holdfast.now() end
  where p.tenant = p_tenant and p.id = p_principal and (p.disabled_at is not null) <> p_disabled;
  if not found then
    return 'unchanged';
  end if;
  perform note(p_tenant, p_by, case when p_disabled then 'principal.disabled' else 'principal.enabled' end,
    p_principal::text, '{}');
  perform rights_changed(p_tenant, p_principal);
  return 'changed';
end $$;

-- Takes in what a token says of somebody. Their principal is made at the first one, p_new; a later token than the last
-- changes kind, name and roles and lets runs go on that waited for it, an earlier one nothing, so that no token brings back what a
-- newer one took. p_roles is null where
-- the issuer says nothing of roles. A name that another has is told apart by the identity's digest. False: the tenant may
-- have no more principals.
create function log_in(
  p_tenant uuid, p_new uuid, p_issuer text, p_subject text, p_kind text, p_name text, p_email text, p_roles text[],
  p_issued_at timestamptz
) returns boolean
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  known identities;
  actor text := 'issuer:' || p_issuer;
  shown text := p_name || ' ' || left(encode(sha256(convert_to(p_issuer || chr(10) || p_subject, 'UTF8')), 'hex'), 8);
  made text;
  kind_before text;
  gone text[];
  come text[];
begin
  perform begin_change(p_tenant);
  select * into known from identities i where i.tenant = p_tenant and i.issuer = p_issuer and i.subject = p_subject;
  if not found then
    made := create_principal(p_tenant, p_new, p_kind, p_name, p_email, coalesce(p_roles, '{}'), actor);
    if made = 'taken' then
      made := create_principal(p_tenant, p_new, p_kind, shown, p_email, coalesce(p_roles, '{}'), actor);
    end if;
    if made = 'too_many' then
      return false;
    end if;
    insert into identities (tenant, issuer, subject, principal, created_at, issued_at)
    values (p_tenant, p_issuer, p_subject, p_new, holdfast.now(), p_issued_at);
    update principals p set claims_at = p_issued_at where p.tenant = p_tenant and p.id = p_new;
    return true;
  end if;
  if known.issued_at >= p_issued_at then
    return true;
  end if;
  update identities i set issued_at = p_issued_at
  where i.tenant = p_tenant and i.issuer = p_issuer and i.subject = p_subject;
  select p.kind into kind_before from principals p where p.tenant = p_tenant and p.id = known.principal;
  update principals p set kind = p_kind, email = p_email, claims_at = p_issued_at,
    name = case when p.name in (p_name, shown) then p.name
                when exists (select from principals q where q.tenant = p_tenant and q.name = p_name) then shown
                else p_name end
  where p.tenant = p_tenant and p.id = known.principal;
  if p_roles is not null then
    with old as (
      delete from memberships m where m.tenant = p_tenant and m.principal = known.principal and m.role <> all (p_roles)
      returning m.role
    )
    select array_agg(o.role order by o.role) into gone from old o;
    with new as (
      insert into memberships (tenant, principal, role, granted_at, granted_by)
      select p_tenant, known.principal, r.role, holdfast.now(), actor from unnest(p_roles) as r (role)
      on conflict do nothing returning role
    )
    select array_agg(n.role order by n.role) into come from new n;
  end if;
  if kind_before <> p_kind then
    perform note(p_tenant, actor, 'kind.told', known.principal::text, json_build_object('kind', p_kind)::text);
  end if;
  if gone is not null or come is not null then
    perform note(p_tenant, actor, 'roles.told', known.principal::text,
      json_build_object('granted', come, 'revoked', gone)::text);
  end if;
  if gone is not null or come is not null or kind_before <> p_kind then
    perform rights_changed(p_tenant, known.principal);
  else
    perform claims_renewed(p_tenant, known.principal);
  end if;
  return true;
end $$;

-- 'created'; 'repeated' and 'asked_before' as for a principal; 'absent' when there is no such principal. With p_replaces it
-- is the successor of a key that ends at p_overlap_until, both or neither; 'ended' when that one has ended already.
create function create_key(
  p_tenant uuid, p_id uuid, p_principal uuid, p_name text, p_digest bytea, p_scopes text[], p_expires_at timestamptz, p_by text,
  p_replaces uuid default null, p_overlap_until timestamptz default null,
  p_scope text default null, p_key text default null, p_request bytea default null
) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform begin_change(p_tenant);
  if exists (select from api_keys k where k.tenant = p_tenant and k.id = p_id) then
    return 'repeated';
  end if;
  if asked_before(p_tenant, p_scope, p_key) then
    return 'asked_before';
  end if;
  if not exists (select from principals p where p.tenant = p_tenant and p.id = p_principal) then
    return 'absent';
  end if;
  if p_replaces is not null and not exists (
      select from api_keys k where k.tenant = p_tenant and k.id = p_replaces and k.revoked_at is null
        and (k.expires_at is null or k.expires_at > holdfast.now())) then
    return 'ended';
  end if;
  insert into api_keys (tenant, id, principal, name, digest, scopes, created_at, created_by, expires_at)
  values (p_tenant, p_id, p_principal, p_name, p_digest, p_scopes, holdfast.now(), p_by, p_expires_at);
  if p_replaces is not null then
    perform end_key(p_tenant, p_replaces, p_overlap_until, p_by);
  end if;
  perform keep_request(p_tenant, p_scope, p_key, p_request, p_id);
  perform note(p_tenant, p_by, 'key.created', p_id::text,
    json_build_object('principal', p_principal, 'scopes', p_scopes, 'expires_at', p_expires_at)::text);
  return 'created';
end $$;

-- Ends a key at a time: now, or later so that two overlap while one replaces the other. A key that ends earlier stays so.
create function end_key(p_tenant uuid, p_id uuid, p_at timestamptz, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform begin_change(p_tenant);
  if not exists (select from api_keys k where k.tenant = p_tenant and k.id = p_id) then
    return 'absent';
  end if;
  update api_keys k set
    revoked_at = case when p_at is null then holdfast.now() else k.revoked_at end,
    expires_at = case when p_at is null then k.expires_at else p_at end
  where k.tenant = p_tenant and k.id = p_id and k.revoked_at is null
    and (p_at is null or k.expires_at is null or k.expires_at > p_at);
  if not found then
    return 'unchanged';
  end if;
  perform note(p_tenant, p_by, 'key.ended', p_id::text, json_build_object('at', p_at)::text);
  return 'changed';
end $$;

-- Notes that a key was used, to the minute: most uses write nothing.
create function touch_key(p_tenant uuid, p_id uuid) returns void
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_tenant(p_tenant);
  update api_keys k set used_at = holdfast.now()
  where k.tenant = p_tenant and k.id in (
    select x.id from api_keys x where x.tenant = p_tenant and x.id = p_id
      and (x.used_at is null or x.used_at < holdfast.now() - interval '1 minute') for no key update skip locked);
end $$;

grant execute on function
  note(uuid, text, text, text, text),
  create_principal(uuid, uuid, text, text, text, text[], text, text, text, bytea),
  grant_role(uuid, uuid, text, text), revoke_role(uuid, uuid, text, text), set_disabled(uuid, uuid, boolean, text),
  create_key(uuid, uuid, uuid, text, bytea, text[], timestamptz, text, uuid, timestamptz, text, text, bytea), end_key(uuid, uuid, timestamptz, text),
  touch_key(uuid, uuid), log_in(uuid, uuid, text, text, text, text, text, text[], timestamptz) to holdfast_api;

-- Tenants. The caller is in the platform's tenant, and sees of another no more than its name and state.
set local role holdfast_engine;

create function must_be_platform() returns void
language plpgsql stable set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_durable();
  perform must_be_tenant('00000000-0000-7000-8000-000000000000');
end $$;

-- The tenant of a name: names are how people and tokens call them.
create function find_tenant(p_name text) returns uuid
language sql stable security definer set search_path = holdfast, pg_temp
as $$ select t.id from tenants t where t.name = p_name $$;

create function list_tenants(p_id uuid, p_after text, p_limit int)
returns table (id uuid, name text, state text, created_at timestamptz, max_principals int, max_runs int, max_bytes bigint)
language plpgsql stable security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_tenant('00000000-0000-7000-8000-000000000000');
  return query select t.id, t.name, t.state, t.created_at, t.max_principals, t.max_runs, t.max_bytes from tenants t
    where (p_id is null or t.id = p_id) and (p_after is null or t.name > p_after) order by t.name limit p_limit;
end $$;

-- Notes in the log of a tenant and in the platform's what the platform did to it.
create function note_both(p_tenant uuid, p_actor text, p_action text, p_details text) returns void
language sql volatile set search_path = holdfast, pg_temp
as $$
  insert into audit_log (tenant, at, id, actor, action, target, details)
  select t.id, clock_timestamp(), gen_random_uuid(), p_actor, p_action, p_tenant::text, p_details
  from unnest(array[p_tenant, '00000000-0000-7000-8000-000000000000']) as t (id)
$$;

-- 'created'; 'repeated'; 'taken' when another has this name.
create function create_tenant(p_id uuid, p_name text, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_platform();
  if exists (select from tenants t where t.id = p_id) then
    return 'repeated';
  end if;
  insert into tenants (id, name) values (p_id, p_name) on conflict do nothing;
  if not found then
    return 'taken';
  end if;
  perform note_both(p_id, p_by, 'tenant.created', json_build_object('name', p_name)::text);
  return 'created';
end $$;

grant execute on function find_tenant(text), list_tenants(uuid, text, int), create_tenant(uuid, text, text) to holdfast_api;
grant execute on function create_tenant(uuid, text, text) to holdfast_owner;
set local role holdfast_owner;
grant execute on function must_be_tenant(uuid) to holdfast_engine;
