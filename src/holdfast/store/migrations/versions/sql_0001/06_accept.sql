-- Whether a conversation is another principal's: nothing of it may flow into a run that is not theirs, unless the task
-- declares that it shares. What is said in a conversation is about one subject, whoever says it.
create function is_foreign_session(p_tenant uuid, p_session uuid, p_principal text, p_subject text, p_shared boolean)
returns boolean
language sql volatile set search_path = holdfast, pg_temp
as $$
  select exists (select from sessions s where s.tenant = p_tenant and s.id = p_session
    and (s.subject <> p_subject or (s.principal <> p_principal and not p_shared)))
$$;

-- Whether a conversation was deleted. Held against `delete_session` until the end of the transaction.
create function is_deleted_session(p_tenant uuid, p_session uuid) returns boolean
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  found_at timestamptz;
begin
  select s.deleted_at into found_at from sessions s where s.tenant = p_tenant and s.id = p_session for key share;
  return found_at is not null;
end $$;

-- Whether a tenant has as many bytes as it may: of content, of events, and of what was said to its runs. They are measured
-- once a minute: within it a tenant may pass its limit.
create function over_bytes(p_tenant uuid) returns boolean
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  home tenants;
  moment timestamptz := holdfast.now();
begin
  select * into home from tenants t where t.id = p_tenant;
  if home.max_bytes is null then
    return false;
  end if;
  if home.measured_at is null or home.measured_at < moment - interval '1 minute' then
    home.bytes := (select coalesce(sum(octet_length(b.body)), 0) from blobs b where b.tenant = p_tenant)
      + (select coalesce(sum(octet_length(e.body)), 0) from events e where e.tenant = p_tenant)
      + (select coalesce(sum(octet_length(s.content)), 0) from signals s where s.tenant = p_tenant);
    update tenants t set bytes = home.bytes, measured_at = moment where t.id = p_tenant;
  end if;
  return home.bytes >= home.max_bytes;
end $$;

-- Whether a tenant may have one more run: null, 'too_many_runs' or 'too_many_bytes'. Who asks waits for others that ask, so
-- that the number is exact.
create function over_quota(p_tenant uuid) returns text
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  home tenants;
begin
  select * into home from tenants t where t.id = p_tenant for no key update;
  if home.max_runs is not null and home.max_runs <= (
      select count(*) from (select from runs r where r.tenant = p_tenant and r.state in ('queued', 'running', 'parked')
                            limit home.max_runs) as x) then
    return 'too_many_runs';
  end if;
  return case when over_bytes(p_tenant) then 'too_many_bytes' end;
end $$;

-- Accepts a run: its row, its first event, the content that names, and the idempotency key, or nothing at all.
--
-- 'accepted'; 'foreign' when the session is another principal's; 'repeated' when this key came before with the same
-- request, or this very run is there already (a caller that never got its answer asks again); 'conflict' when the key came
-- before with another request; 'deleted' when the session was deleted and the key never came before; 'suspended',
-- 'too_many_runs' or 'too_many_bytes' when the tenant may have no more.
create function accept_run(
  p_tenant uuid, p_run uuid, p_task text, p_task_version text, p_session uuid, p_principal text, p_subject text,
  p_parent uuid, p_priority int, p_at timestamptz, p_body text, p_hash bytea, b_digest bytea[], b_body bytea[],
  p_scope text, p_key text, p_request bytea, p_shared boolean default false, p_requested_by text default null
) returns table (outcome text, run uuid, accepted_at timestamptz)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  moment timestamptz := holdfast.now();
  earlier idempotency_keys;
  home tenants;
  refused text;
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  perform pg_advisory_xact_lock_shared(4863, hashtext(p_tenant::text));  -- as `must_stand`
  if is_foreign_session(p_tenant, p_session, p_principal, p_subject, p_shared) then
    return query select 'foreign', null::uuid, null::timestamptz;
    return;
  end if;
  if p_session is not null and is_deleted_session(p_tenant, p_session)
    and not exists (select from idempotency_keys k where k.tenant = p_tenant and k.scope = p_scope and k.key = p_key) then
    return query select 'deleted', null::uuid, null::timestamptz;
    return;
  end if;
  if p_key is not null then
    insert into idempotency_keys (tenant, scope, key, request, made, at)
    values (p_tenant, p_scope, p_key, p_request, p_run, moment) on conflict do nothing;
    if not found then
      select * into earlier from idempotency_keys k where k.tenant = p_tenant and k.scope = p_scope and k.key = p_key;
      return query select case when earlier.request = p_request then 'repeated' else 'conflict' end, earlier.made, null::timestamptz;
      return;
    end if;
  end if;

  select * into home from tenants t where t.id = p_tenant;
  refused := case when home.state is distinct from 'active' then 'suspended'  -- or there is none any more
                  when home.max_runs is not null or home.max_bytes is not null then over_quota(p_tenant) end;
  if refused is not null then
    if p_key is not null then  -- the same request may come again when there is room
      delete from idempotency_keys k where k.tenant = p_tenant and k.scope = p_scope and k.key = p_key;
    end if;
    return query select refused, null::uuid, null::timestamptz;
    return;
  end if;

  insert into runs (tenant, id, task, task_version, session, principal, subject, requested_by, parent, priority, seq,
                    head, created_at, queued_at, updated_at)
  values (p_tenant, p_run, p_task, p_task_version, p_session, p_principal, p_subject, p_requested_by, p_parent, p_priority,
          1, p_hash, moment, moment, moment)
  on conflict do nothing;
  if not found then
    if exists (select from events e where e.tenant = p_tenant and e.run = p_run and e.seq = 1 and e.hash = p_hash) then
      return query select 'repeated', p_run, null::timestamptz;
      return;
    end if;
    raise exception 'A run with this id exists and was accepted with something else.' using errcode = 'unique_violation';
  end if;

  insert into events (tenant, run, seq, type, at, body, hash)
  values (p_tenant, p_run, 1, 'run_accepted', p_at, p_body, p_hash);
  insert into blobs (tenant, run, digest, body)
  select p_tenant, p_run, b.digest, b.body from unnest(b_digest, b_body) as b (digest, body) on conflict do nothing;
  if p_session is not null then
    insert into sessions (tenant, id, subject, principal) values (p_tenant, p_session, p_subject, p_principal)
    on conflict do nothing;
    if not found and (is_foreign_session(p_tenant, p_session, p_principal, p_subject, p_shared)
                      or is_deleted_session(p_tenant, p_session)) then
      raise exception 'Somebody else began or deleted this session at the same moment.'
        using errcode = 'serialization_failure';
    end if;
  end if;
  return query select 'accepted', p_run, moment;
end $$;

grant execute on function accept_run(uuid, uuid, text, text, uuid, text, text, uuid, int, timestamptz, text, bytea, bytea[],
  bytea[], text, text, bytea, boolean, text) to holdfast_worker, holdfast_api;
