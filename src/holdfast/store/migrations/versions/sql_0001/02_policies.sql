-- Row level security, and who may touch which table.
--
-- Each policy is one comparison with a setting: a policy with a join costs a hundred times more.
-- The setting is '' after a transaction that set it locally, hence nullif.
do $$
declare
  name text;
begin
  foreach name in array array['runs', 'events', 'blobs', 'signals', 'approvals', 'approval_votes',
                              'approval_history', 'idempotency_keys',
                              'sessions', 'invalidations', 'subject_keys', 'halts', 'halt_acks', 'live', 'principals',
                              'memberships', 'identities', 'api_keys', 'audit_log'] loop
    execute format('create policy tenant on %I using (tenant = nullif(current_setting(''holdfast.tenant'', true), '''')::uuid)', name);
  end loop;
  foreach name in array array['tenants', 'runs', 'events', 'blobs', 'signals', 'approvals', 'approval_votes',
                              'approval_history', 'idempotency_keys',
                              'sessions', 'invalidations', 'subject_keys', 'halts', 'halt_acks', 'live', 'principals',
                              'memberships',
                              'identities', 'api_keys', 'audit_log', 'workers', 'clock', 'timeline', 'schema_version'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
  end loop;
  -- The functions that cross tenants act as holdfast_engine. What it may do to a table is said by its grants.
  foreach name in array array['runs', 'events', 'blobs', 'approvals', 'sessions', 'halts', 'halt_acks', 'tenants',
                              'audit_log', 'workers', 'clock', 'timeline'] loop
    execute format('create policy engine on %I to holdfast_engine using (true) with check (true)', name);
  end loop;
end $$;

create policy tenant on tenants using (id = nullif(current_setting('holdfast.tenant', true), '')::uuid);

-- These hold no tenant's data: tests move the clock as the owner, migrations write the version, all may read it.
create policy owner on clock to holdfast_owner using (true) with check (true);
create policy owner on timeline to holdfast_owner using (true) with check (true);
create policy owner on schema_version to holdfast_owner using (true) with check (true);
create policy anyone on schema_version for select using (true);

grant select, update on runs to holdfast_engine;
grant insert on events, blobs to holdfast_engine;
grant select, insert, update on approvals to holdfast_engine;
grant select, update on sessions to holdfast_engine;
grant select, insert, update on halts, halt_acks to holdfast_engine;
grant select on clock to holdfast_engine;
grant select, insert, update, delete on workers to holdfast_engine;
grant select, update on timeline to holdfast_engine;
grant select, insert, update, delete on tenants to holdfast_engine;
grant insert on audit_log to holdfast_engine;

grant select on schema_version, tenants, runs, events, blobs, signals, approvals, approval_votes, approval_history,
  sessions, invalidations,
  subject_keys, halts, live, principals, memberships to holdfast_worker, holdfast_api;
grant select on halt_acks, identities, api_keys, audit_log, idempotency_keys to holdfast_api;
grant insert on sessions, subject_keys to holdfast_worker, holdfast_api;
grant insert, delete on live to holdfast_worker;

-- The platform's own tenant, whose principals manage the others; the tenant of an installation that has created none; and
-- in that one whoever works on the installation's own machine.
select set_config('holdfast.tenant', '00000000-0000-7000-8000-000000000000', true);
insert into tenants (id, name) values ('00000000-0000-7000-8000-000000000000', 'platform');
select set_config('holdfast.tenant', '00000000-0000-7000-8000-000000000001', true);
insert into tenants (id, name) values ('00000000-0000-7000-8000-000000000001', 'default');
insert into principals (tenant, id, kind, name, created_at, created_by)
  values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', 'person', 'local',
          clock_timestamp(), 'installation');
insert into memberships (tenant, principal, role, granted_at, granted_by)
  values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', 'admin', clock_timestamp(),
          'installation');
insert into clock default values;
insert into timeline (system_identifier, timeline)
  select system_identifier, 0 from pg_control_system();
select set_config('holdfast.tenant', '', true);
