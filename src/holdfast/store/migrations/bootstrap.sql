-- Roles and schema: run before every upgrade, each time harmless. Roles belong to the cluster, so they may
-- already be there because another database was migrated, and two databases may be migrated at once.
--
--   holdfast_owner   never logs in; owns schema, tables and the functions that stay inside one tenant
--   holdfast_engine  never logs in; owns the functions that cross tenants, and is the only role whose
--                    policies let it
--   holdfast_worker  logs in; claims and appends
--   holdfast_api     logs in; accepts runs, delivers signals, reads
--   holdfast_halt    logs in; as holdfast_api, whose member it is, by a connection that is kept free for it where the
--                    server keeps some (reserved_connections, from 16 on): halts are declared by it
--   holdfast_tools   never logs in; what a worker becomes for a tool that asks for a connection. It may nothing of
--                    Holdfast's; an installation grants it tables of its own
do $$
declare
  role record;
begin
  for role in select * from (values
      ('holdfast_owner', 'nologin'), ('holdfast_engine', 'nologin'),
      ('holdfast_tools', 'nologin'), ('holdfast_worker', 'login'), ('holdfast_api', 'login'),
      ('holdfast_halt', 'login')) as r (name, may_login)
  loop
    if not exists (select from pg_roles where rolname = role.name) then
      begin
        execute format('create role %I %s', role.name, role.may_login);
      exception when duplicate_object or unique_violation then
        null;  -- another database of this cluster is being migrated at this moment
      end;
    end if;
  end loop;
  if exists (select from pg_roles where rolname in ('holdfast_owner', 'holdfast_engine', 'holdfast_tools')
             and (rolcanlogin or rolsuper or rolbypassrls)) then
    raise exception 'holdfast_owner, holdfast_engine and holdfast_tools must be NOLOGIN, NOSUPERUSER and NOBYPASSRLS, and one is not.'
      using errcode = 'invalid_grant_operation', hint = 'Take these attributes away with ALTER ROLE, then migrate again.';
  end if;
end $$;

-- A worker may become holdfast_tools, and where the server can tell the two apart has nothing of it while it has not.
do $$
declare
  newer boolean := current_setting('server_version_num')::int >= 160000;
begin
  if not pg_has_role('holdfast_worker', 'holdfast_tools', case when newer then 'SET' else 'MEMBER' end) then
    execute 'grant holdfast_tools to holdfast_worker' || case when newer then ' with inherit false, set true' else '' end;
  end if;
end $$;

-- A login that is no superuser may not give away what is kept free; then whoever runs the server does.
do $$
begin
  if not pg_has_role('holdfast_halt', 'holdfast_api', 'USAGE') then
    grant holdfast_api to holdfast_halt;
  end if;
  if exists (select from pg_roles where rolname = 'pg_use_reserved_connections') then
    if not pg_has_role('holdfast_halt', 'pg_use_reserved_connections', 'MEMBER')
        and pg_has_role(current_user, 'pg_use_reserved_connections', 'MEMBER WITH ADMIN OPTION') then
      grant pg_use_reserved_connections to holdfast_halt;
    end if;
  end if;
end $$;

-- Who migrates acts as the owner and as the engine, to create what they own. A superuser may already;
-- anyone else becomes a member here, for this transaction: retire.sql takes it back before the commit.
create temporary table holdfast_membership on commit drop as
  select r.name from (values ('holdfast_owner'), ('holdfast_engine')) as r (name)
  where not pg_has_role(current_user, r.name,
    case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end);

do $$
declare
  role text;
begin
  for role in select name from holdfast_membership loop
    execute format('grant %I to current_user', role);
  end loop;
  if not exists (select from pg_namespace where nspname = 'holdfast') then
    create schema holdfast authorization holdfast_owner;
  end if;
  execute format('grant connect on database %I to holdfast_worker, holdfast_api', current_database());
end $$;

-- Functions are for nobody until granted.
set local role holdfast_engine;
alter default privileges revoke execute on functions from public;
set local role holdfast_owner;
alter default privileges revoke execute on functions from public;
grant usage on schema holdfast to holdfast_engine, holdfast_worker, holdfast_api;
grant create on schema holdfast to holdfast_engine;  -- to own its functions; taken back in retire.sql
set local search_path = holdfast, pg_temp;
