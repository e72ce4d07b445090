-- Tallies: amounts that add up over calls, so that ten refunds of $499 do not pass a limit of $500 a day.
--
-- A call is decided on a sum that was read, and reserved in the commit of its intent only if the sum is still that: else
-- its run reads again and is decided on again. Two calls of one batch on the same sum: the first is reserved.

create table tallies (
  tenant uuid not null,
  name text not null,
  owner text not null,  -- whose: a principal, a session, a run; '' for the tenant's own
  since timestamptz not null,  -- when its window began
  amount bigint not null default 0,  -- in ten-thousandths
  primary key (tenant, name, owner, since)
);

create table tally_entries (
  tenant uuid not null,
  run uuid not null,
  key text not null,  -- of the effect: its attempts are counted once
  name text not null,
  owner text not null,
  since timestamptz not null,
  amount bigint not null,
  at timestamptz not null,
  primary key (tenant, run, key, name)
);

do $$
declare
  name text;
begin
  foreach name in array array['tallies', 'tally_entries'] loop
    execute format('create policy tenant on %I using (tenant = nullif(current_setting(''holdfast.tenant'', true), '''')::uuid)', name);
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy engine on %I to holdfast_engine using (true) with check (true)', name);
  end loop;
end $$;

grant select, insert, update on tallies to holdfast_engine;
grant select, insert, delete on tally_entries to holdfast_engine;
grant select on tallies, tally_entries to holdfast_api;

-- What these sums are without the effect that asks; its own part stays counted where it was, in the window it was made in.
-- Sums that do not exist are made here, in a transaction of their own: `append` waits for no row.
create function read_tallies(p_tenant uuid, p_run uuid, p_key text, p_name text[], p_owner text[], p_since timestamptz[])
returns table (name text, seen bigint, own bigint)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
begin
  perform must_be_tenant(p_tenant);
  insert into tallies (tenant, name, owner, since)
  select p_tenant, x.name, x.owner, x.since
  from unnest(p_name, p_owner, p_since) as x (name, owner, since)
  where not exists (select from tallies t where t.tenant = p_tenant and t.name = x.name and t.owner = x.owner
                    and t.since = x.since)
  order by 2, 3, 4
  on conflict do nothing;
  return query select t.name, t.amount, e.amount
    from unnest(p_name, p_owner, p_since) as x (name, owner, since)
    join tallies t on t.tenant = p_tenant and t.name = x.name and t.owner = x.owner and t.since = x.since
    left join tally_entries e on e.tenant = p_tenant and e.run = p_run and e.key = p_key and e.name = x.name;
end $$;

set local role holdfast_engine;

-- The members whose sums another holds at this moment.
create function tallies_obstructed(m_tenant uuid[], m_run uuid[], verdict text[], wanted jsonb) returns int[]
language sql set search_path = holdfast, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
  with concerned as (
    select x.m, x.name, x.owner, x.since
    from jsonb_to_recordset(wanted) as x (m int, name text, owner text, since timestamptz, released bool)
    where verdict[x.m] = 'appended' and x.released is null
    union all
    select x.m, e.name, e.owner, e.since
    from jsonb_to_recordset(wanted) as x (m int, key text, released bool)
    join tally_entries e on e.tenant = m_tenant[x.m] and e.run = m_run[x.m] and e.key = x.key
    where verdict[x.m] = 'appended' and x.released
  )
  select array_agg(distinct c.m) from concerned c
  where exists (select from tallies t where t.tenant = m_tenant[c.m] and t.name = c.name and t.owner = c.owner
                and t.since = c.since)
    and not exists (select from tallies t where t.tenant = m_tenant[c.m] and t.name = c.name and t.owner = c.owner
                    and t.since = c.since for no key update skip locked)
$$;

-- The members that were decided on a sum which is another by now. The sums are locked.
create function tallies_moved(m_tenant uuid[], verdict text[], wanted jsonb) returns int[]
language sql set search_path = holdfast, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
  with asked as (
    select x.m, x.seen, t.amount,
      row_number() over (partition by m_tenant[x.m], x.name, x.owner, x.since order by x.m) as turn
    from jsonb_to_recordset(wanted) as x (m int, name text, owner text, since timestamptz, seen bigint, released bool)
    left join tallies t on t.tenant = m_tenant[x.m] and t.name = x.name and t.owner = x.owner and t.since = x.since
    where verdict[x.m] = 'appended' and x.released is null
  )
  select array_agg(distinct a.m) from asked a where a.amount is distinct from a.seen or a.turn > 1
$$;

create function write_tallies(m_tenant uuid[], m_run uuid[], verdict text[], wanted jsonb, moment timestamptz) returns void
language sql set search_path = holdfast, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
  with counted as (
    insert into tally_entries (tenant, run, key, name, owner, since, amount, at)
    select m_tenant[x.m], m_run[x.m], x.key, x.name, x.owner, x.since, x.amount, moment
    from jsonb_to_recordset(wanted) as x (m int, key text, name text, owner text, since timestamptz, amount bigint,
                                          released bool)
    where verdict[x.m] = 'appended' and x.released is null and x.amount <> 0
    on conflict do nothing
    returning tenant, name, owner, since, amount
  ), freed as (
    delete from tally_entries e
    using jsonb_to_recordset(wanted) as x (m int, key text, released bool)
    where verdict[x.m] = 'appended' and x.released and e.tenant = m_tenant[x.m] and e.run = m_run[x.m] and e.key = x.key
    returning e.tenant, e.name, e.owner, e.since, -e.amount as amount
  ), moved as (
    select tenant, name, owner, since, sum(amount) as amount from (table counted union all table freed) both_
    group by tenant, name, owner, since
  )
  update tallies t set amount = t.amount + m.amount
  from moved m where t.tenant = m.tenant and t.name = m.name and t.owner = m.owner and t.since = m.since
$$;
set local role holdfast_owner;

grant execute on function read_tallies(uuid, uuid, text, text[], text[], timestamptz[]) to holdfast_worker;
