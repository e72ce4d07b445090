-- Sessions: begun, deleted, and what of them is no longer given to the model. A run that is accepted makes its session too.

-- The session, if it is there and this principal's where p_only names one; locked against runs being accepted in it.
create function held_session(p_tenant uuid, p_session uuid, p_only text) returns sessions
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  held sessions;
begin
  perform must_stand(p_tenant);
  select * into held from sessions s
  where s.tenant = p_tenant and s.id = p_session and (p_only is null or s.principal = p_only) for update;
  return held;
end $$;

-- 'created'; 'repeated' when it is there already and this principal's; 'deleted' when it was; 'foreign' when another's.
create function create_session(p_tenant uuid, p_session uuid, p_principal text, p_subject text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  found_one sessions;
begin
  perform must_stand(p_tenant);
  insert into sessions (tenant, id, subject, principal) values (p_tenant, p_session, p_subject, p_principal)
  on conflict do nothing;
  if found then
    return 'created';
  end if;
  select * into found_one from sessions s where s.tenant = p_tenant and s.id = p_session;
  return case when found_one.principal <> p_principal then 'foreign'
              when found_one.deleted_at is not null then 'deleted' else 'repeated' end;
end $$;

-- Deletes a session: no run is accepted in it any more, and those that live are told to stop. 'absent', or 'deleted' with the
-- runs that were told; again, and those that still live are told again.
create function delete_session(p_tenant uuid, p_session uuid, p_only text, p_by text)
returns table (outcome text, told uuid[])
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  held sessions := held_session(p_tenant, p_session, p_only);
  live uuid;
  stopped uuid[] := '{}';
begin
  if held.id is null then
    return query select 'absent', stopped;
    return;
  end if;
  for live in select r.id from runs r
    where r.tenant = p_tenant and r.session = p_session and r.state in ('queued', 'running', 'parked') order by r.id
  loop
    perform deliver_signal(p_tenant, live, 'cancel', '{}', null, null, p_by, 'cancel');
    stopped := stopped || live;
  end loop;
  if held.deleted_at is null then
    update sessions s set deleted_at = holdfast.now(), deleted_by = p_by where s.tenant = p_tenant and s.id = p_session;
    perform note(p_tenant, p_by, 'session.deleted', p_session::text,
      json_build_object('principal', held.principal, 'cancelled', stopped)::text);
  end if;
  return query select 'deleted', stopped;
end $$;

-- Marks messages as no longer to be given. 'created'; 'repeated' when this very one is there; 'taken' when the id is another's;
-- 'absent' and 'deleted' of the session.
create function invalidate(
  p_tenant uuid, p_session uuid, p_only text, p_id uuid, p_run uuid, p_first int, p_last int, p_messages text[],
  p_digest bytea, p_reason bytea, p_by text
) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  held sessions := held_session(p_tenant, p_session, p_only);
  earlier invalidations;
begin
  if held.id is null then
    return 'absent';
  end if;
  if held.deleted_at is not null then
    return 'deleted';
  end if;
  insert into invalidations (tenant, session, id, run, first, last, messages, reason_digest, reason, by, at)
  values (p_tenant, p_session, p_id, p_run, p_first, p_last, p_messages, p_digest, p_reason, p_by, holdfast.now())
  on conflict do nothing;
  if found then
    perform note(p_tenant, p_by, 'session.invalidated', p_session::text, json_build_object('invalidation', p_id,
      'principal', held.principal, 'run', p_run, 'from', p_first, 'to', p_last)::text);
    return 'created';
  end if;
  select * into earlier from invalidations i where i.tenant = p_tenant and i.session = p_session and i.id = p_id;
  return case when (earlier.messages, earlier.reason_digest) = (p_messages, p_digest) then 'repeated' else 'taken' end;
end $$;

-- Gives again what was marked. 'changed'; 'unchanged' when it was lifted before; 'absent' and 'deleted' of the session,
-- 'unknown' of the invalidation.
create function lift_invalidation(
  p_tenant uuid, p_session uuid, p_only text, p_id uuid, p_digest bytea, p_reason bytea, p_by text
) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  held sessions := held_session(p_tenant, p_session, p_only);
begin
  if held.id is null then
    return 'absent';
  end if;
  if held.deleted_at is not null then
    return 'deleted';
  end if;
  if not exists (select from invalidations i where i.tenant = p_tenant and i.session = p_session and i.id = p_id) then
    return 'unknown';
  end if;
  update invalidations i set lifted_at = holdfast.now(), lifted_by = p_by, lifted_digest = p_digest, lifted_reason = p_reason
  where i.tenant = p_tenant and i.session = p_session and i.id = p_id and i.lifted_at is null;
  if not found then
    return 'unchanged';
  end if;
  perform note(p_tenant, p_by, 'session.invalidation_lifted', p_session::text,
    json_build_object('invalidation', p_id, 'principal', held.principal)::text);
  return 'changed';
end $$;

grant execute on function
  create_session(uuid, uuid, text, text), delete_session(uuid, uuid, text, text),
  invalidate(uuid, uuid, text, uuid, uuid, int, int, text[], bytea, bytea, text),
  lift_invalidation(uuid, uuid, text, uuid, bytea, bytea, text) to holdfast_api;
