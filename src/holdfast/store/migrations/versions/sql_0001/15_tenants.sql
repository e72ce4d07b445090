-- The life of a tenant: suspended, let go on, bounded, deleted, brought in from elsewhere. The caller is in the platform's
-- tenant, but for the functions at the end, which touch rows: those stay inside the tenant they are about.
set local role holdfast_engine;

-- Suspends a tenant or lets it go on. Suspended, it accepts nothing, and what it runs parks: what is queued at once, what
-- is running at its next intent. Outcomes: 'changed'; 'unchanged'; 'absent', as for one that is being deleted.
create function suspend_tenant(p_tenant uuid, p_suspended boolean, p_reason text, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  moment timestamptz := holdfast.now();
  suspension halts;
begin
  perform must_be_platform();
  perform pg_advisory_xact_lock(4857);  -- the halt lock
  if not exists (select from tenants t where t.id = p_tenant and t.state in ('active', 'suspended')) then
    return 'absent';
  end if;
  update tenants t set state = case when p_suspended then 'suspended' else 'active' end
  where t.id = p_tenant and (t.state = 'suspended') <> p_suspended;
  if not found then
    return 'unchanged';
  end if;
  if p_suspended then
    perform put_halt(p_tenant, gen_random_uuid(), 'tenant', 'suspended', p_reason, p_by, 4, null);
    with waiting as (
      select r.tenant, r.id from runs r where r.tenant = p_tenant and r.state = 'queued'
      order by r.tenant, r.id for no key update
    )
    update runs r set state = 'parked', waiting_on = 'halt', updated_at = moment
    from waiting w where r.tenant = w.tenant and r.id = w.id;
  else
    select * into suspension from halts h
    where h.tenant = p_tenant and h.scope = 'tenant' and h.key = 'suspended' and h.lifted_at is null for update;
    if found then
      perform end_halt(suspension, p_by, 'halt.lifted');
    end if;
  end if;
  perform note_both(p_tenant, p_by, case when p_suspended then 'tenant.suspended' else 'tenant.resumed' end,
    json_build_object('reason', p_reason)::text);
  return 'changed';
end $$;

-- Sets what a tenant may have at most, of all quotas or of those in p_only; null is no limit. False: there is no such tenant.
create function set_quotas(p_tenant uuid, p_principals int, p_runs int, p_bytes bigint, p_only text[], p_by text) returns boolean
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  kept tenants;
begin
  perform must_be_platform();
  update tenants t set
    max_principals = case when p_only is null or 'principals' = any(p_only) then p_principals else t.max_principals end,
    max_runs = case when p_only is null or 'runs' = any(p_only) then p_runs else t.max_runs end,
    max_bytes = case when p_only is null or 'bytes' = any(p_only) then p_bytes else t.max_bytes end
  where t.id = p_tenant returning t.* into kept;
  if not found then
    return false;
  end if;
  perform note_both(p_tenant, p_by, 'tenant.quotas', json_build_object(
    'principals', kept.max_principals, 'runs', kept.max_runs, 'bytes', kept.max_bytes)::text);
  return true;
end $$;

-- Begins to delete a suspended tenant: from here on there is no way back, and nothing is added to it. Whoever was about to has
-- ended, and who carries a run of it has lost that. 'deleting'; 'absent'; 'active'.
create function doom_tenant(p_tenant uuid, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_platform();
  perform pg_advisory_xact_lock(4863, hashtext(p_tenant::text));
  update tenants t set state = 'deleting' where t.id = p_tenant and t.state in ('suspended', 'importing');
  if found then
    with held as (
      select r.tenant, r.id from runs r where r.tenant = p_tenant and r.state = 'running'
      order by r.tenant, r.id for no key update
    )
    update runs r set state = 'parked', waiting_on = 'halt', worker = null, epoch = r.epoch + 1, updated_at = holdfast.now()
    from held h where r.tenant = h.tenant and r.id = h.id;
    perform note_both(p_tenant, p_by, 'tenant.deleting', '{}');
    return 'deleting';
  end if;
  return coalesce((select t.state from tenants t where t.id = p_tenant), 'absent');
end $$;

-- Keeps what a tenant that is being deleted had: how many runs, and a digest of where their journals ended. The first
-- answer is kept: later there is less to count.
create function keep_evidence(p_tenant uuid, p_runs bigint, p_heads text) returns void
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_platform();
  update tenants t set evidence = jsonb_build_object('runs', p_runs, 'heads_sha256', p_heads, 'rows', '{}'::jsonb)
  where t.id = p_tenant and t.state = 'deleting' and t.evidence is null;
end $$;

-- Ends the deletion of a tenant that has no row left. What is left of it is the evidence in the platform's log, which is
-- answered; null: there is no such tenant, any more.
create function bury_tenant(p_tenant uuid, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  buried tenants;
  told text;
begin
  perform must_be_platform();
  if exists (select from runs r where r.tenant = p_tenant) then
    raise exception 'The tenant still has runs.' using errcode = 'object_not_in_prerequisite_state';
  end if;
  delete from tenants t where t.id = p_tenant and t.state = 'deleting' returning * into buried;
  if found then
    told := (jsonb_build_object('id', buried.id, 'name', buried.name) || buried.evidence)::text;
    insert into audit_log (tenant, at, id, actor, action, target, details)
    values ('00000000-0000-7000-8000-000000000000', clock_timestamp(), gen_random_uuid(), p_by, 'tenant.deleted',
            p_tenant::text, told);
  end if;
  return told;
end $$;

-- Begins to bring a tenant in from an export: it is there, and nobody gets in. 'importing'; 'taken' when a tenant has this
-- id or name; 'no_zone' when this server does not know its time zone.
create function begin_import(p_tenant uuid, p_name text, p_created_at timestamptz, p_time_zone text, p_ceilings jsonb,
  p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_platform();
  if not exists (select from pg_timezone_names z where z.name = p_time_zone) then
    return 'no_zone';
  end if;
  insert into tenants (id, name, state, created_at, time_zone, ceilings)
  values (p_tenant, p_name, 'importing', p_created_at, p_time_zone, p_ceilings)
  on conflict do nothing;
  if not found then
    return 'taken';
  end if;
  perform note_both(p_tenant, p_by, 'tenant.importing', '{}');
  return 'importing';
end $$;

-- Ends it: the tenant is there, suspended, since what it is a copy of may be running elsewhere.
create function end_import(p_tenant uuid, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform must_be_platform();
  update tenants t set state = 'active' where t.id = p_tenant and t.state = 'importing';
  if not found then
    return 'absent';
  end if;
  return suspend_tenant(p_tenant, true, 'imported', p_by);
end $$;

grant execute on function suspend_tenant(uuid, boolean, text, text), set_quotas(uuid, int, int, bigint, text[], text),
  doom_tenant(uuid, text), keep_evidence(uuid, bigint, text), bury_tenant(uuid, text), begin_import(uuid, text, timestamptz, text, jsonb, text),
  end_import(uuid, text) to holdfast_api;
set local role holdfast_owner;

-- The tables whose rows are a tenant's, from the catalogue, so that none is forgotten. Partitions go by their parents.
create function tenant_tables() returns setof text
language sql stable set search_path = holdfast, pg_temp
as $$
  select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'
  where c.relnamespace = 'holdfast'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  order by c.relname
$$;

-- Inserts rows of a tenant that is being imported, as `row_to_json` wrote them. Answers how many.
create function import_rows(p_tenant uuid, p_table text, p_rows jsonb) returns bigint
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  many bigint;
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  if not exists (select from tenants t where t.id = p_tenant and t.state = 'importing') then
    raise exception 'This tenant is not being imported.' using errcode = 'object_not_in_prerequisite_state';
  end if;
  if p_table not in (select t from tenant_tables() t) then
    raise exception 'There is no table "%" of tenants.', p_table using errcode = 'undefined_table';
  end if;
  execute format('insert into %1$I select (jsonb_populate_record(null::%1$I, r)).* from jsonb_array_elements($1) r', p_table)
    using p_rows;
  get diagnostics many = row_count;
  return many;
end $$;

-- Deletes rows of a tenant that is being deleted, a batch of each table, its own scope set, and counts them in its evidence.
-- Answers how many there were; 0: none is left.
create function delete_rows(p_tenant uuid, p_limit int) returns bigint
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  target text;
  many bigint;
  gone jsonb := '{}';
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  if not exists (select from tenants t where t.id = p_tenant and t.state = 'deleting' and t.evidence is not null) then
    raise exception 'This tenant is not being deleted, or nothing was kept yet of what it had.' using errcode = 'object_not_in_prerequisite_state';
  end if;
  for target in select t from tenant_tables() t loop
    execute format('with gone as (delete from %1$I where tenant = $1 and ctid = any (array(
      select ctid from %1$I where tenant = $1 limit $2)) returning 1) select count(*) from gone', target)
      into many using p_tenant, p_limit;
    gone := gone || case when many > 0 then jsonb_build_object(target, many) else '{}' end;
  end loop;
  update tenants t set evidence = jsonb_set(t.evidence, '{rows}', (
    select coalesce(jsonb_object_agg(s.name, s.count), '{}') from (
      select e.key as name, sum(e.value::bigint) as count
      from (select * from jsonb_each_text(t.evidence -> 'rows') union all select * from jsonb_each_text(gone)) e
      group by e.key) s))
  where t.id = p_tenant;
  return (select coalesce(sum(e.value::bigint), 0) from jsonb_each_text(gone) e);
end $$;

grant execute on function tenant_tables(), import_rows(uuid, text, jsonb), delete_rows(uuid, int) to holdfast_api;
