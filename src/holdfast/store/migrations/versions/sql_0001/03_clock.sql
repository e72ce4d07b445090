-- The one clock of leases, timers and windows. Called once per statement batch, never per row.
create function holdfast.now() returns timestamptz
language sql volatile security definer set search_path = holdfast, pg_temp
as $$ select clock_timestamp() + (select skew from clock) $$;

-- Which history of which database this is. After a standby was promoted, or a backup restored, it differs, and
-- what was acknowledged shortly before may be gone.
create function history(out system_identifier bigint, out timeline int)
language sql stable set search_path = holdfast, pg_temp
as $$
  select c.system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
  from pg_control_system() c
$$;

-- Fails unless the caller has set this tenant: an argument says where to look and never who may.
create function must_be_tenant(p_tenant uuid) returns void
language plpgsql stable set search_path = holdfast, pg_temp
as $$
begin
  if p_tenant is distinct from nullif(current_setting('holdfast.tenant', true), '')::uuid then
    raise exception 'The tenant of this call is not the tenant of this transaction.'
      using errcode = 'insufficient_privilege', hint = 'Call it inside Database.tenant(tenant).';
  end if;
end $$;

-- What writes calls this first. A commit that is acknowledged is on disk, whatever the login's or the pooler's defaults
-- are, and each statement of a function sees what was committed before it, on which fences, halts and parking rest.
create function must_be_durable() returns void
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'Holdfast writes at READ COMMITTED, and this transaction is at %.', current_setting('transaction_isolation')
      using errcode = 'invalid_transaction_state', hint = 'Do not set default_transaction_isolation for Holdfast''s logins.';
  end if;
  if current_setting('synchronous_commit') in ('off', 'local') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
end $$;

-- What makes rows of a tenant calls this first: the tenant is there, and no deletion of it begins before this transaction
-- has ended. `doom_tenant` waits for all that hold this lock, and nobody gets by after it.
create function must_stand(p_tenant uuid) returns void
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  perform pg_advisory_xact_lock_shared(4863, hashtext(p_tenant::text));
  if not exists (select from tenants t where t.id = p_tenant and t.state <> 'deleting') then
    raise exception 'There is no such tenant any more.' using errcode = 'no_data_found';
  end if;
end $$;

update timeline t set timeline = h.timeline from history() h;

grant execute on function holdfast.now() to holdfast_engine, holdfast_worker, holdfast_api;
grant execute on function history(), must_be_durable(), must_stand(uuid) to holdfast_engine;
