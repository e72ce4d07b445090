-- Budgets: what may be spent over many runs, and what of it is spent or reserved.
--
-- What a step may use is reserved in the commit of its intent, and settled in the commit of its outcome with what it did
-- use: `24_budget_lines.sql`, part of `append`. No reservation is granted beyond a limit. Here is what people do: set a
-- budget, raise it for the window that is now, and end it.

alter table tenants add column time_zone text not null default 'UTC';  -- in which its days begin

create table budgets (
  tenant uuid not null,
  id uuid not null,
  scope text not null check (scope in ('tenant', 'user', 'session', 'task', 'feature', 'model')),
  key text not null check ((key = '') = (scope = 'tenant')),  -- '*': each by itself
  unit text not null check (unit in ('usd', 'tokens', 'requests')),
  per text not null check (per in ('run', 'hour', 'day', 'week', 'month', 'ever')),
  -- Of 'usd' in millionths of a dollar. Ten times a limit and its raises has to fit a bigint: alerts are found by tenths.
  amount bigint not null check (amount between 0 and 100000000000000000),
  created_at timestamptz not null,
  created_by text not null,
  changed_at timestamptz not null,
  changed_by text not null,
  ended_at timestamptz,
  primary key (tenant, id)
);

create unique index budgets_in_force on budgets (tenant, scope, key, unit, per) where ended_at is null;
-- As `budgets_of` asks.
create index budgets_by_key on budgets (tenant, (scope || ':' || key)) where ended_at is null;

create table budget_windows (
  tenant uuid not null,
  budget uuid not null,
  owner text not null,  -- whose, where a budget is for each by itself; of a run: its id
  since timestamptz not null,  -- when the window began
  spent bigint not null default 0,
  held bigint not null default 0,  -- reserved and not settled
  extra bigint not null default 0,  -- by which people raised this window
  overran bigint not null default 0,  -- of what was spent: more than had been reserved for it
  overruns int not null default 0,
  told int not null default 0,  -- alerts raised: 1 half, 2 four fifths, 4 all, 8 forecast
  primary key (tenant, budget, owner, since)
) with (fillfactor = 50);

create table reservations (
  tenant uuid not null,
  run uuid not null,
  step text not null,  -- of a model request: its scope and number; of a call: its idempotency key
  attempt int not null,
  budgets uuid[] not null,
  units text[] not null,
  models text[] not null,  -- of a model's budget: which; else ''
  owners text[] not null,
  since timestamptz[] not null,  -- it belongs to the windows in which it was made
  amounts bigint[] not null,  -- what is held; once it is estimated, what was taken for spent
  estimated boolean not null default false,  -- it was settled, and nobody knows what was used
  at timestamptz not null,
  primary key (tenant, run, step, attempt)
) with (fillfactor = 50);

create table overruns (
  tenant uuid not null,
  run uuid not null,
  step text not null,
  attempt int not null,
  budget uuid not null,
  owner text not null,
  since timestamptz not null,
  reserved bigint not null,
  used bigint not null,
  at timestamptz not null,
  primary key (tenant, run, step, attempt, budget, owner, since)
);

create table budget_alerts (
  tenant uuid not null,
  id uuid not null default gen_random_uuid(),
  budget uuid not null,
  owner text not null,
  since timestamptz not null,
  what text not null check (what in ('half', 'most', 'all', 'forecast')),
  at timestamptz not null,
  spent bigint not null,
  amount bigint not null,  -- once that is another, the same is told again
  logged boolean not null default false,  -- a worker wrote it to its log
  primary key (tenant, budget, owner, since, what, amount)
);

create index budget_windows_since on budget_windows (tenant, budget, since);
create index overruns_of on overruns (tenant, budget, at);
create index budget_alerts_at on budget_alerts (tenant, at desc, id desc);
create index budget_alerts_new on budget_alerts (at) where not logged;

do $$
declare
  name text;
begin
  foreach name in array array['budgets', 'budget_windows', 'reservations', 'overruns', 'budget_alerts'] loop
    execute format('create policy tenant on %I using (tenant = nullif(current_setting(''holdfast.tenant'', true), '''')::uuid)', name);
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy engine on %I to holdfast_engine using (true) with check (true)', name);
  end loop;
end $$;

grant select, insert, update on budgets, budget_windows to holdfast_engine;
grant select, insert, update, delete on reservations to holdfast_engine;
grant select, insert on overruns, idempotency_keys to holdfast_engine;
grant select, insert, update on budget_alerts to holdfast_engine;
grant select on budgets, budget_windows, reservations, overruns, budget_alerts to holdfast_worker, holdfast_api;
grant execute on function asked_before(uuid, text, text), keep_request(uuid, text, text, bytea, uuid) to holdfast_engine;

-- When the window began that this moment lies in. A day begins with the first moment of its date, also where clocks that are
-- set back show midnight twice. Hours are counted from the full hour that clocks in the zone showed last, so that each of the
-- two that go by one name has a window of its own; where clocks change by half an hour, one is longer. Without a subquery, so
-- that it is written out where it is asked.
create function window_start(p_per text, p_zone text, moment timestamptz) returns timestamptz
language sql stable
as $$
  select case
    when p_per in ('run', 'ever') then to_timestamp(0)
    when p_per = 'hour' then moment - (date_part('minute', moment at time zone p_zone) * interval '1 minute'
                                       + date_part('second', moment at time zone p_zone) * interval '1 second')
      - date_part('minute', (moment - (date_part('minute', moment at time zone p_zone) * interval '1 minute'
                                       + date_part('second', moment at time zone p_zone) * interval '1 second'))
                            at time zone p_zone) * interval '1 minute'
    when date_trunc(p_per, date_trunc(p_per, moment, p_zone) - interval '1 hour', p_zone) = date_trunc(p_per, moment, p_zone)
      then date_trunc(p_per, moment, p_zone) - interval '1 hour'
    else date_trunc(p_per, moment, p_zone) end
$$;

-- When it ends, which is when the next begins; null: never.
create function window_end(p_per text, p_zone text, moment timestamptz) returns timestamptz
language sql stable
as $$
  select case
    when p_per in ('run', 'ever') then null
    when p_per = 'hour' then (
      select later + mod(60 - date_part('minute', later at time zone p_zone)::int, 60) * interval '1 minute'
      from (select holdfast.window_start(p_per, p_zone, moment) + interval '1 hour' as later) h)
    else (
      select case when (ends - interval '1 hour') at time zone p_zone >= next_date then ends - interval '1 hour' else ends end
      from (select next_date, next_date at time zone p_zone as ends
            from (select date_trunc(p_per, moment at time zone p_zone) + ('1 ' || p_per)::interval as next_date) n) d) end
$$;

grant execute on function window_start(text, text, timestamptz), window_end(text, text, timestamptz)
  to holdfast_engine, holdfast_worker, holdfast_api;

set local role holdfast_engine;

-- What people do to budgets locks them, their windows and then runs: one at a time in a tenant.
create function begin_budgeting(p_tenant uuid) returns void
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
begin
  perform must_stand(p_tenant);
  perform pg_advisory_xact_lock(4860, hashtext(p_tenant::text));
end $$;

-- Who makes a window holds this lock until the end of the transaction, so that `append` finds it taken and waits for nobody.
create function window_lock(p_budget uuid, p_owner text, p_since timestamptz) returns int
language sql immutable set search_path = holdfast, pg_temp
as $$ select hashtext(p_budget || ' ' || p_owner || ' ' || extract(epoch from p_since)) $$;

-- Lets runs that wait for a budget try again. One that is about to park for it is marked, and `tick` takes it up.
create function free_budgeted(p_tenant uuid) returns int
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  moment timestamptz := holdfast.now();
  freed int;
begin
  with held as (
    select r.tenant, r.id from runs r where r.tenant = p_tenant and r.state = 'running'
    order by r.tenant, r.id for no key update
  )
  update runs r set stale = true, updated_at = moment from held where r.tenant = held.tenant and r.id = held.id;
  with waiting as (
    select r.tenant, r.id from runs r where r.tenant = p_tenant and r.state = 'parked' and r.waiting_on = 'budget'
    order by r.tenant, r.id for no key update
  )
  update runs r set state = 'queued', stale = true, waiting_on = null, wake_at = null, queued_at = moment, updated_at = moment
  from waiting where r.tenant = waiting.tenant and r.id = waiting.id;
  get diagnostics freed = row_count;
  return freed;
end $$;

create function note_budget(b budgets, p_by text, p_action text, p_details json) returns void
language sql volatile set search_path = holdfast, pg_temp
as $$
  insert into audit_log (tenant, at, id, actor, action, target, details)
  values (b.tenant, clock_timestamp(), gen_random_uuid(), p_by, p_action, b.id::text, (jsonb_build_object('scope', b.scope,
    'key', b.key, 'unit', b.unit, 'per', b.per, 'amount', b.amount) || coalesce(p_details::jsonb, '{}'))::text)
$$;

-- Sets what may be spent from now on. A budget of the same scope, unit and window is changed; what it has spent stays spent.
-- What its windows have come to is told anew, of the new amount.
create function set_budget(p_tenant uuid, p_id uuid, p_scope text, p_key text, p_unit text, p_per text, p_amount bigint,
  p_by text, out budget uuid, out before bigint)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  moment timestamptz := holdfast.now();
  put budgets;
begin
  perform begin_budgeting(p_tenant);
  loop
    select * into put from budgets b where b.tenant = p_tenant and b.scope = p_scope and b.key = p_key
      and b.unit = p_unit and b.per = p_per and b.ended_at is null for no key update;
    if found then
      before := put.amount;
      update budgets b set amount = p_amount, changed_at = moment, changed_by = p_by
      where b.tenant = p_tenant and b.id = put.id returning * into put;
      if before <> p_amount then
        perform from budget_windows w where w.tenant = p_tenant and w.budget = put.id and w.told <> 0
          and w.since >= (select window_start(put.per, t.time_zone, moment) from tenants t where t.id = p_tenant)
        order by w.tenant, w.budget, w.owner, w.since for no key update;
        update budget_windows w set told = 0 where w.tenant = p_tenant and w.budget = put.id and w.told <> 0
          and w.since >= (select window_start(put.per, t.time_zone, moment) from tenants t where t.id = p_tenant);
      end if;
      exit;
    end if;
    insert into budgets (tenant, id, scope, key, unit, per, amount, created_at, created_by, changed_at, changed_by)
    values (p_tenant, p_id, p_scope, p_key, p_unit, p_per, p_amount, moment, p_by, moment, p_by)
    on conflict (tenant, scope, key, unit, per) where ended_at is null do nothing returning * into put;
    exit when found;
  end loop;
  budget := put.id;
  perform note_budget(put, p_by, 'budget.set', json_build_object('before', before));
  if before < p_amount then
    perform free_budgeted(p_tenant);
  end if;
end $$;

-- Ends a budget: it binds nothing from now on. False: there is none of this id in force.
create function end_budget(p_tenant uuid, p_id uuid, p_by text) returns boolean
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  ended budgets;
begin
  perform begin_budgeting(p_tenant);
  update budgets b set ended_at = holdfast.now(), changed_at = holdfast.now(), changed_by = p_by
  where b.tenant = p_tenant and b.id = p_id and b.ended_at is null returning * into ended;
  if not found then
    return false;
  end if;
  perform note_budget(ended, p_by, 'budget.ended', null);
  perform free_budgeted(p_tenant);
  return true;
end $$;

-- Raises a budget for the window that is now, and for it alone. Outcomes: 'raised', with what it comes to; 'absent';
-- 'asked_before': a request with this idempotency key raised it already.
create function raise_budget(p_tenant uuid, p_id uuid, p_owner text, p_more bigint, p_reason text, p_by text,
  p_scope text, p_key text, p_request bytea, out outcome text, out since timestamptz, out amount bigint)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  found_one budgets;
  began timestamptz;
begin
  perform begin_budgeting(p_tenant);
  if asked_before(p_tenant, p_scope, p_key) then
    outcome := 'asked_before';
    return;
  end if;
  select * into found_one from budgets b where b.tenant = p_tenant and b.id = p_id and b.ended_at is null for share;
  if not found then
    outcome := 'absent';
    return;
  end if;
  began := (select window_start(found_one.per, t.time_zone, holdfast.now()) from tenants t where t.id = p_tenant);
  perform pg_advisory_xact_lock(4859, window_lock(p_id, p_owner, began));
  insert into budget_windows as w (tenant, budget, owner, since, extra) values (p_tenant, p_id, p_owner, began, p_more)
  on conflict (tenant, budget, owner, since) do update
    set extra = least(w.extra::numeric + p_more, 100000000000000000)::bigint, told = 0
  returning w.since, found_one.amount + w.extra into since, amount;
  perform keep_request(p_tenant, p_scope, p_key, p_request, p_id);
  perform note_budget(found_one, p_by, 'budget.raised', json_build_object('owner', p_owner, 'since', began, 'more', p_more,
    'reason', p_reason));
  perform free_budgeted(p_tenant);
  outcome := 'raised';
end $$;

-- In which time zone a tenant's days begin. False: there is no such zone. Windows under way end: runs try those that begin.
create function set_time_zone(p_tenant uuid, p_zone text, p_by text) returns boolean
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
begin
  perform begin_budgeting(p_tenant);
  if not exists (select from pg_timezone_names z where z.name = p_zone) then
    return false;
  end if;
  update tenants t set time_zone = p_zone where t.id = p_tenant;
  insert into audit_log (tenant, at, id, actor, action, target, details)
  values (p_tenant, clock_timestamp(), gen_random_uuid(), p_by, 'tenant.time_zone', p_tenant::text,
          json_build_object('time_zone', p_zone)::text);
  perform free_budgeted(p_tenant);
  return true;
end $$;

grant execute on function set_budget(uuid, uuid, text, text, text, text, bigint, text), end_budget(uuid, uuid, text),
  raise_budget(uuid, uuid, text, bigint, text, text, text, text, bytea), set_time_zone(uuid, text, text) to holdfast_api;
set local role holdfast_owner;
