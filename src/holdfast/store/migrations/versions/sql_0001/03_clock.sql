-- The one clock of leases, timers and windows. Called once per statement batch, never per row.
create function now() returns timestamptz
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

update timeline t set timeline = h.timeline from history() h;

grant execute on function now() to holdfast_engine, holdfast_worker, holdfast_api;
grant execute on function history() to holdfast_engine;
