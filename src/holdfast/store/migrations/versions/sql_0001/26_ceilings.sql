-- The limits of a tenant: the most that each run of it may do, whatever its task and its request allow and people raise. They
-- are written as a run's own are: whole numbers by the names of what is counted. Who holds a run reads them when it claims it.
set local role holdfast_engine;

-- Sets all of them where p_drop is null; else takes away those that it names and puts these in. Null: no such tenant.
-- Runs that somebody holds are told: no intent of theirs commits until their holder has read the limits anew. Those that
-- nobody holds need not be: a claim either waits for this lock and reads what is set here, or had it first and its runs are
-- found held.
create function put_ceilings(p_tenant uuid, p_put jsonb, p_drop text[], out before jsonb, out after jsonb)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  moment timestamptz := holdfast.now();
begin
  perform pg_advisory_xact_lock(4862);
  select t.ceilings into before from tenants t where t.id = p_tenant for no key update;
  if not found then
    return;
  end if;
  after := case when p_drop is null then p_put else (before - p_drop) || p_put end;
  if after = before then
    return;
  end if;
  update tenants t set ceilings = after where t.id = p_tenant;
  with held as (
    select r.tenant, r.id from runs r where r.tenant = p_tenant and r.state = 'running'
    order by r.tenant, r.id for no key update
  )
  update runs r set stale = true, updated_at = moment from held where r.tenant = held.tenant and r.id = held.id;
end $$;

-- What a tenant's administrators set. Answers all that holds from now on; null: there is no such tenant.
create function set_ceilings(p_tenant uuid, p_put jsonb, p_drop text[], p_by text) returns jsonb
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  changed record;
begin
  perform must_stand(p_tenant);
  changed := put_ceilings(p_tenant, p_put, p_drop);
  if changed.after is null then
    return null;
  end if;
  insert into audit_log (tenant, at, id, actor, action, target, details)
  values (p_tenant, clock_timestamp(), gen_random_uuid(), p_by, 'tenant.limits', p_tenant::text,
          json_build_object('limits', changed.after, 'before', changed.before)::text);
  return changed.after;
end $$;

-- What the platform sets, all of them at once. False: there is no such tenant. It does not get to see what was there before:
-- the names of a tenant's tools and systems are none of its business.
create function limit_tenant(p_tenant uuid, p_put jsonb, p_by text) returns boolean
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  changed record;
begin
  perform must_be_platform();
  changed := put_ceilings(p_tenant, p_put, null);
  if changed.after is null then
    return false;
  end if;
  insert into audit_log (tenant, at, id, actor, action, target, details)
  values (p_tenant, clock_timestamp(), gen_random_uuid(), p_by, 'tenant.limits', p_tenant::text,
          json_build_object('limits', changed.after, 'before', changed.before)::text),
         ('00000000-0000-7000-8000-000000000000', clock_timestamp(), gen_random_uuid(), p_by, 'tenant.limits', p_tenant::text,
          json_build_object('limits', changed.after)::text);
  return true;
end $$;

grant execute on function set_ceilings(uuid, jsonb, text[], text), limit_tenant(uuid, jsonb, text) to holdfast_api;
set local role holdfast_owner;
