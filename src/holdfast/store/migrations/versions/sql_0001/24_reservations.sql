-- Reserving and settling: the part of `append` that is about budgets.
--
-- A member asks for what its intents may use ('reserve') and says what its outcomes did use ('settle'), by the step and
-- attempt. Which budgets apply is read here, so that one that was set a moment ago binds. All of a member's reservations are
-- granted or none; members are gone through in order, each with what those before it left. A reservation that an attempt
-- left which nobody waits for any more ('void', or a later attempt), or that its run leaves at its end ('end'), is settled at
-- what it held and marked estimated. What was used
-- without a reservation ('spend') counts as well: like all that exceeds its reservation it is an overrun, and never refused.
--
-- Many small statements, each of which can only go by a key: a plan is made when tables are small and kept when they are
-- not, and one large statement over all of this had the planner read every run of the tenant.
set local role holdfast_engine;

-- One amount of one window that a member changes.
create type spending as (
  m int,
  settles boolean,
  step text,
  attempt int,
  place int,  -- in the reservation that is settled; null where there was none
  budget uuid,
  unit text,
  model text,
  owner text,
  since timestamptz,
  held bigint,  -- reserved: now, or before where it settles
  used bigint,
  unpriced boolean,  -- nobody knows what it may cost
  estimated boolean,
  w int  -- which of the windows
);

-- What a reservation comes to that is settled at what it held.
create function guessed(m int, v reservations) returns spending[]
language sql immutable set search_path = holdfast, pg_temp
as $$
  select array_agg(row(m, true, v.step, v.attempt, x.place, x.budget, x.unit, x.model, x.owner, x.since, x.amount, x.amount,
                       false, true, null)::spending)
  from unnest(v.budgets, v.units, v.models, v.owners, v.since, v.amounts) with ordinality
    as x (budget, unit, model, owner, since, amount, place)
$$;

-- The part of what was used, or may be, that is about one model; all of it, where none is given.
create function part_of(models jsonb, p_model text, unit text, whole bigint, unknown boolean, out amount bigint, out is_unknown boolean)
language plpgsql immutable set search_path = holdfast, pg_temp
as $$
declare
  x jsonb;
begin
  if p_model = '' then
    amount := whole;
    is_unknown := unknown;
    return;
  end if;
  amount := 0;
  is_unknown := false;
  for x in select e from jsonb_array_elements(models) e loop
    if p_model in (x ->> 'model', (x ->> 'provider') || ':' || (x ->> 'model')) then
      amount := amount + coalesce((x ->> unit)::bigint, 0);
      is_unknown := is_unknown or x ->> unit is null;
    end if;
  end loop;
end $$;

-- What a tenant has budgets for, so that nobody looks for others.
create function budgeted_scopes(p_tenant uuid) returns text[]
language sql stable set search_path = holdfast, pg_temp
as $$
  select array(
    select s from unnest(array['tenant', 'user', 'session', 'task', 'feature', 'model']) as s
    where exists (select from budgets b where b.tenant = p_tenant and b.scope = s and b.ended_at is null))
$$;

-- The budgets that a step of a run counts towards, of these scopes: `models` are those that it may ask, with their
-- provider's name in front.
create function budgets_of(p_tenant uuid, r runs, feature text, models text[], scopes text[])
returns table (id uuid, unit text, per text, model text, owner text)
language sql stable set search_path = holdfast, pg_temp
as $$
  select g.id, g.unit, g.per, case c.scope when 'model' then c.owner else '' end,
    case when g.per <> 'run' then c.owner when c.scope = 'model' then r.id || ' ' || c.owner else r.id::text end
  from (
    select * from (values ('tenant', '', ''), ('user', '*', r.principal), ('user', r.principal, r.principal),
      ('session', '*', r.session::text), ('session', r.session::text, r.session::text),
      ('task', '*', r.task), ('task', r.task, r.task),
      ('feature', '*', nullif(feature, '')), ('feature', nullif(feature, ''), feature)) as v (scope, key, owner)
    union  -- once, though a chain asks one model of two providers, or somebody is called '*'
    select 'model', k.key, k.owner from unnest(models) as n (name)
    cross join lateral (values ('*', substr(n.name, strpos(n.name, ':') + 1)),
      (substr(n.name, strpos(n.name, ':') + 1), substr(n.name, strpos(n.name, ':') + 1)), (n.name, n.name)) as k (key, owner)
  ) c
  cross join lateral (
    select b.id, b.unit, b.per from budgets b
    where b.tenant = p_tenant and b.scope = c.scope and b.key = c.key and b.ended_at is null offset 0
  ) g
  where c.scope = any (scopes)
$$;

-- What the asking members change, in order, and in which window. Several models of one step may change one window.
create function spendings(m_tenant uuid[], m_run uuid[], verdict text[], wanted jsonb, moment timestamptz) returns spending[]
language plpgsql stable set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  lines spending[] := '{}';
  settled text[] := '{}';
  a record;
  b record;
  whose runs;
  home uuid;
  zone text;
  scopes text[];
  kept reservations;
  part record;
begin
  for a in
    select x.* from jsonb_to_recordset(wanted) as x (m int, what text, step text, attempt int, feature text, usd bigint,
      tokens bigint, requests bigint, no_usd boolean, no_tokens boolean, models jsonb)
    where verdict[x.m] = 'appended'
  loop
    if a.what = 'settle' then
      select * into kept from reservations v where v.tenant = m_tenant[a.m] and v.run = m_run[a.m] and v.step = a.step
        and v.attempt = a.attempt and not v.estimated;
      continue when not found;
      settled := settled || (a.m || ' ' || a.step || ' ' || a.attempt);
      for place in 1..cardinality(kept.budgets) loop
        part := case kept.units[place]
          when 'usd' then part_of(a.models, kept.models[place], 'usd', a.usd, a.no_usd)
          when 'tokens' then part_of(a.models, kept.models[place], 'tokens', a.tokens, a.no_tokens)
          else part_of(a.models, kept.models[place], 'requests', a.requests, false) end;
        lines := lines || row(a.m, true, a.step, a.attempt, place, kept.budgets[place], kept.units[place], kept.models[place],
          kept.owners[place], kept.since[place], kept.amounts[place],
          case when part.is_unknown then greatest(part.amount, kept.amounts[place]) else part.amount end,
          false, part.is_unknown, null)::spending;
      end loop;
    elsif a.what = 'void' then
      select * into kept from reservations v where v.tenant = m_tenant[a.m] and v.run = m_run[a.m] and v.step = a.step
        and v.attempt = a.attempt and not v.estimated;
      continue when not found;
      settled := settled || (a.m || ' ' || a.step || ' ' || a.attempt);
      lines := lines || guessed(a.m, kept);
    elsif a.what in ('reserve', 'spend') then
      if a.what = 'reserve' and a.attempt > 1 then
        for kept in select * from reservations v where v.tenant = m_tenant[a.m] and v.run = m_run[a.m] and v.step = a.step
            and v.attempt < a.attempt and not v.estimated loop
          if a.m || ' ' || kept.step || ' ' || kept.attempt <> all (settled) then
            lines := lines || guessed(a.m, kept);
          end if;
        end loop;
      end if;
      if whose.id is distinct from m_run[a.m] then
        select * into whose from runs r where r.tenant = m_tenant[a.m] and r.id = m_run[a.m];
        if home is distinct from whose.tenant then
          home := whose.tenant;
          zone := (select t.time_zone from tenants t where t.id = home);
          scopes := budgeted_scopes(home);
        end if;
      end if;
      continue when cardinality(scopes) = 0;
      for b in select * from budgets_of(home, whose, a.feature, case when 'model' = any (scopes) then
          array(select (e ->> 'provider') || ':' || (e ->> 'model') from jsonb_array_elements(a.models) e) end, scopes) loop
        part := case b.unit
          when 'usd' then part_of(a.models, b.model, 'usd', a.usd, a.no_usd)
          when 'tokens' then part_of(a.models, b.model, 'tokens', a.tokens, a.no_tokens)
          else part_of(a.models, b.model, 'requests', a.requests, false) end;
        if part.amount <> 0 or part.is_unknown then
          lines := lines || row(a.m, a.what = 'spend', a.step, a.attempt, null, b.id, b.unit, b.model, b.owner,
            window_start(b.per, zone, moment), case a.what when 'reserve' then part.amount else 0 end,
            case a.what when 'spend' then part.amount else 0 end, a.what = 'reserve' and part.is_unknown, false, null)::spending;
        end if;
      end loop;
    else
      for kept in select * from reservations v where v.tenant = m_tenant[a.m] and v.run = m_run[a.m] and not v.estimated loop
        if a.m || ' ' || kept.step || ' ' || kept.attempt <> all (settled) then
          lines := lines || guessed(a.m, kept);
        end if;
      end loop;
    end if;
  end loop;
  return (
    select array_agg(row(l.m, l.settles, l.step, l.attempt, l.place, l.budget, l.unit, l.model, l.owner, l.since, l.held,
                         l.used, l.unpriced, l.estimated, l.w)::spending order by l.m, l.settles desc, l.nth)
    from (select x.*, dense_rank() over (order by m_tenant[x.m], x.budget, x.owner, x.since)::int as w
          from unnest(lines) with ordinality as x (m, settles, step, attempt, place, budget, unit, model, owner, since, held,
                                                   used, unpriced, estimated, unnumbered, nth)) l);
end $$;

-- Locks these windows, or makes them, in key order. Where `patient` it waits for others as long as appends take, else not at
-- all; what it could not lock is null in the answer. Rows are numbered as `lines` have them.
create function lock_windows(m_tenant uuid[], lines spending[], many int, patient boolean, out most bigint[], out spent bigint[],
  out held bigint[], out overran bigint[], out overruns int[], out told int[])
language plpgsql volatile set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  l spending;
  kept record;
  windows spending[] := array(select distinct on (x.w) x from unnest(lines) x order by x.w);
begin
  most := array_fill(null::bigint, array[many]);
  spent := most;
  held := most;
  overran := most;
  overruns := array_fill(null::int, array[many]);
  told := overruns;
  foreach l in array windows loop
    if patient then
      select b.amount + w.extra as most, w.spent, w.held, w.overran, w.overruns, w.told into kept
      from budget_windows w, lateral (select g.amount from budgets g where g.tenant = w.tenant and g.id = w.budget offset 0) b
      where w.tenant = m_tenant[l.m] and w.budget = l.budget and w.owner = l.owner and w.since = l.since
      for no key update of w;
    else
      select b.amount + w.extra as most, w.spent, w.held, w.overran, w.overruns, w.told into kept
      from budget_windows w, lateral (select g.amount from budgets g where g.tenant = w.tenant and g.id = w.budget offset 0) b
      where w.tenant = m_tenant[l.m] and w.budget = l.budget and w.owner = l.owner and w.since = l.since
      for no key update of w skip locked;
    end if;
    if not found and not exists (select from budget_windows w where w.tenant = m_tenant[l.m] and w.budget = l.budget
                                 and w.owner = l.owner and w.since = l.since)
      and pg_try_advisory_xact_lock(4859, window_lock(l.budget, l.owner, l.since)) then
      insert into budget_windows as w (tenant, budget, owner, since) values (m_tenant[l.m], l.budget, l.owner, l.since)
      on conflict do nothing
      returning (select g.amount from budgets g where g.tenant = w.tenant and g.id = w.budget) as most, w.spent, w.held,
        w.overran, w.overruns, w.told into kept;
    end if;
    if found then
      most[l.w] := kept.most;
      spent[l.w] := kept.spent;
      held[l.w] := kept.held;
      overran[l.w] := kept.overran;
      overruns[l.w] := kept.overruns;
      told[l.w] := kept.told;
    end if;
  end loop;
end $$;

-- Reserves and settles for all members that ask. Answers each member's verdict, 'busy' and 'over_budget' and 'unpriced' among
-- them, and of those that are refused why, by their number.
create function spend_budgets(m_tenant uuid[], m_run uuid[], verdict text[], wanted jsonb, patient boolean, moment timestamptz,
  out verdicts text[], out details jsonb)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  lines spending[] := spendings(m_tenant, m_run, verdict, wanted, moment);
  l spending;
  many int := 0;
  kept record;
  waits text := current_setting('lock_timeout');
  spent_before bigint[];
  held_before bigint[];
  member int := 0;
  refused boolean := false;
  crossed int[] := '{}';
begin
  verdicts := verdict;
  details := '{}';
  if lines is null then
    return;
  end if;
  foreach l in array lines loop
    many := greatest(many, l.w);
  end loop;
  if patient then
    begin
      perform set_config('lock_timeout', '300ms', true);
      select * into kept from lock_windows(m_tenant, lines, many, true);
      perform set_config('lock_timeout', waits, true);
    exception when lock_not_available then
      patient := false;
    end;
  end if;
  if not patient then
    select * into kept from lock_windows(m_tenant, lines, many, false);
  end if;

  -- Judge in order, by what those before left.
  foreach l in array lines loop
    if l.m <> member then
      member := l.m;
      refused := false;
      spent_before := kept.spent;
      held_before := kept.held;
    end if;
    continue when refused;
    if kept.most[l.w] is null then
      refused := true;
      verdicts[member] := 'busy';
    elsif l.settles then
      kept.held[l.w] := kept.held[l.w] - l.held;
      kept.spent[l.w] := kept.spent[l.w] + l.used;
    elsif l.unpriced or kept.spent[l.w] + kept.held[l.w] + l.held > kept.most[l.w] then
      refused := true;
      verdicts[member] := case when l.unpriced then 'unpriced' else 'over_budget' end;
      details := details || jsonb_build_object(member, shortage(m_tenant[member], l, kept.most[l.w], kept.spent[l.w],
                                                                kept.held[l.w], moment));
      if not l.unpriced and kept.spent[l.w] + l.held > kept.most[l.w] and kept.told[l.w] & 4 = 0 then
        crossed := crossed || l.w;
      end if;
    else
      kept.held[l.w] := kept.held[l.w] + l.held;
    end if;
    if refused then
      kept.spent := spent_before;
      kept.held := held_before;
    end if;
  end loop;

  foreach l in array lines loop
    if l.settles and verdicts[l.m] = 'appended' and l.used > l.held then
      kept.overran[l.w] := kept.overran[l.w] + l.used - l.held;
      kept.overruns[l.w] := kept.overruns[l.w] + 1;
    end if;
  end loop;
  for w in 1..many loop
    if kept.most[w] is not null and kept.told[w] & 7 <> 7 and kept.spent[w] > 0 then
      if (kept.spent[w] >= kept.most[w] and kept.told[w] & 4 = 0)
        or (kept.spent[w] * 5 >= kept.most[w] * 4 and kept.told[w] & 2 = 0)
        or (kept.spent[w] * 2 >= kept.most[w] and kept.told[w] & 1 = 0) then
        crossed := crossed || w;
      end if;
    end if;
  end loop;
  perform write_spendings(m_tenant, m_run, verdicts, lines, kept.spent, kept.held, kept.overran, kept.overruns, moment);
  if cardinality(crossed) > 0 then
    perform raise_alerts(m_tenant, lines, crossed, kept.most, kept.spent, moment);
  end if;
end $$;

-- Why a member is refused.
create function shortage(p_tenant uuid, l spending, most bigint, spent bigint, held bigint, moment timestamptz) returns jsonb
language sql stable set search_path = holdfast, pg_temp
as $$
  select jsonb_build_object('budget', b.id, 'scope', b.scope, 'key', b.key, 'owner', l.owner, 'unit', b.unit, 'per', b.per,
    'most', most, 'spent', spent, 'held', held, 'wanted', l.held, 'since', l.since,
    'until', window_end(b.per, t.time_zone, moment), 'at', moment)
  from budgets b, tenants t where b.tenant = p_tenant and b.id = l.budget and t.id = p_tenant
$$;

create function write_spendings(m_tenant uuid[], m_run uuid[], verdict text[], lines spending[], spent bigint[], held bigint[],
  overran bigint[], overruns int[], moment timestamptz) returns void
language plpgsql volatile set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  l spending;
  written spending[] := '{}';
  reserves boolean := false;
  passes boolean := false;
begin
  foreach l in array lines loop
    if verdict[l.m] = 'appended' then
      written := written || l;
      reserves := reserves or not l.settles;
      passes := passes or l.settles and l.used > l.held;
    end if;
  end loop;
  if cardinality(written) = 0 then
    return;
  end if;
  for l in select distinct on (x.w) x.* from unnest(written) x order by x.w loop
    update budget_windows w set spent = write_spendings.spent[l.w], held = write_spendings.held[l.w],
      overran = write_spendings.overran[l.w], overruns = write_spendings.overruns[l.w]
    where w.tenant = m_tenant[l.m] and w.budget = l.budget and w.owner = l.owner and w.since = l.since;
  end loop;
  for l in select distinct on (x.m, x.step, x.attempt) x.m, x.settles, x.step, x.attempt, x.place, x.budget, x.unit, x.model,
      x.owner, x.since, x.held, x.used, x.unpriced, bool_or(x.estimated) over (partition by x.m, x.step, x.attempt), x.w
      from unnest(written) x where x.settles and x.place is not null loop
    if l.estimated then
      update reservations v set estimated = true,
        amounts = array(select x.used from unnest(written) x where x.m = l.m and x.step = l.step and x.attempt = l.attempt
                        and x.place is not null order by x.place)
      where v.tenant = m_tenant[l.m] and v.run = m_run[l.m] and v.step = l.step and v.attempt = l.attempt;
    else
      delete from reservations v
      where v.tenant = m_tenant[l.m] and v.run = m_run[l.m] and v.step = l.step and v.attempt = l.attempt;
    end if;
  end loop;
  if reserves then
    insert into reservations (tenant, run, step, attempt, budgets, units, models, owners, since, amounts, at)
    select m_tenant[x.m], m_run[x.m], x.step, x.attempt, array_agg(x.budget order by x.w), array_agg(x.unit order by x.w),
      array_agg(x.model order by x.w), array_agg(x.owner order by x.w), array_agg(x.since order by x.w),
      array_agg(x.held order by x.w), moment
    from unnest(written) x where not x.settles
    group by x.m, x.step, x.attempt;
  end if;
  if passes then
    insert into overruns (tenant, run, step, attempt, budget, owner, since, reserved, used, at)
    select m_tenant[x.m], m_run[x.m], x.step, x.attempt, x.budget, x.owner, x.since, x.held, x.used, moment
    from unnest(written) x where x.settles and x.used > x.held
    on conflict do nothing;
  end if;
end $$;

-- Tells what the windows numbered `crossed` have come to: by what is spent, or since what is left was too little.
create function raise_alerts(m_tenant uuid[], lines spending[], crossed int[], most bigint[], spent bigint[],
  moment timestamptz) returns void
language sql volatile set search_path = holdfast, pg_temp
as $$
  with reached as (
    select distinct on (l.w) l.w, m_tenant[l.m] as tenant, l.budget, l.owner, l.since
    from unnest(lines) l where l.w = any (crossed) order by l.w
  ), come as (
    select r.*, a.what, a.bit
    from reached r cross join (values ('half', 5, 1), ('most', 8, 2), ('all', 10, 4)) as a (what, tenths, bit)
    where spent[r.w] * 10 >= most[r.w] * a.tenths
      or a.what = 'all' and exists (select from unnest(lines) l where l.w = r.w and not l.settles
                                    and spent[r.w] + l.held > most[r.w])
  ), said as (
    insert into budget_alerts (tenant, budget, owner, since, what, at, spent, amount)
    select c.tenant, c.budget, c.owner, c.since, c.what, moment, spent[c.w], most[c.w] from come c
    on conflict do nothing  -- told before, of a budget that had another amount in between
  )
  update budget_windows b set told = b.told | s.bits
  from (select tenant, budget, owner, since, bit_or(bit) as bits from come group by tenant, budget, owner, since) s
  where b.tenant = s.tenant and b.budget = s.budget and b.owner = s.owner and b.since = s.since
$$;

-- Settles by better knowledge what was settled, or is held, at its bound. Null where nothing better is known of a unit.
-- Outcomes: 'settled'; 'under_way': its run is at work, which settles it; 'absent'. Window by window, each by its key and in
-- their order; a window of a run that is not kept any more has nothing to correct.
create function correct_reservation(p_tenant uuid, p_run uuid, p_step text, p_attempt int, p_usd bigint, p_tokens bigint,
  p_requests bigint, p_reason text, p_by text) returns text
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  kept reservations;
  busy boolean;
  x record;
  w record;
  lines spending[] := '{}';
  crossed int[] := '{}';
  most bigint[] := '{}';
  spent bigint[] := '{}';
begin
  perform begin_budgeting(p_tenant);
  select r.state = 'running' into busy from runs r where r.tenant = p_tenant and r.id = p_run for no key update;
  select * into kept from reservations r where r.tenant = p_tenant and r.run = p_run and r.step = p_step
    and r.attempt = p_attempt for update;
  if not found then
    return 'absent';
  elsif busy and not kept.estimated then
    return 'under_way';
  end if;
  for x in
    select u.*, coalesce(case u.unit when 'usd' then p_usd when 'tokens' then p_tokens else p_requests end, u.amount) as used
    from unnest(kept.budgets, kept.units, kept.owners, kept.since, kept.amounts) as u (budget, unit, owner, since, amount)
    order by u.budget, u.owner, u.since
  loop
    update budget_windows b set held = b.held - case when kept.estimated then 0 else x.amount end,
      spent = b.spent - case when kept.estimated then x.amount else 0 end + x.used
    where b.tenant = p_tenant and b.budget = x.budget and b.owner = x.owner and b.since = x.since
    returning b.spent, (select g.amount from budgets g where g.tenant = b.tenant and g.id = b.budget) + b.extra as most into w;
    if w.spent > 0 then
      crossed := crossed || cardinality(crossed) + 1;
      lines := lines || row(1, true, p_step, p_attempt, null, x.budget, x.unit, '', x.owner, x.since, 0, x.used, false, false,
                            cardinality(crossed))::spending;
      most := most || w.most;
      spent := spent || w.spent;
    end if;
  end loop;
  delete from reservations r where r.tenant = p_tenant and r.run = p_run and r.step = p_step and r.attempt = p_attempt;
  perform raise_alerts(array[p_tenant], lines, crossed, most, spent, holdfast.now());
  insert into audit_log (tenant, at, id, actor, action, target, details)
  values (p_tenant, clock_timestamp(), gen_random_uuid(), p_by, 'budget.corrected', p_run::text, json_build_object(
    'step', p_step, 'attempt', p_attempt, 'usd', p_usd, 'tokens', p_tokens, 'requests', p_requests, 'reason', p_reason)::text);
  perform free_budgeted(p_tenant);
  return 'settled';
end $$;

grant execute on function correct_reservation(uuid, uuid, text, int, bigint, bigint, bigint, text, text) to holdfast_api;

-- The fullest of the budgets that a run's next request counts towards, and how much of it in percent is spent or reserved.
create function budget_pressure(p_tenant uuid, p_run uuid, p_feature text, p_models text[])
returns table (budget uuid, percent int)
language plpgsql stable security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  whose runs;
  zone text;
  moment timestamptz := holdfast.now();
begin
  perform must_be_tenant(p_tenant);
  select * into whose from runs r where r.tenant = p_tenant and r.id = p_run;
  zone := (select t.time_zone from tenants t where t.id = p_tenant);
  return query
    select g.id, least(((w.spent + w.held)::numeric * 100 / greatest(g.amount + w.extra, 1)), 1000)::int as percent
    from budgets_of(p_tenant, whose, p_feature, p_models, budgeted_scopes(p_tenant)) b
    join budgets g on g.tenant = p_tenant and g.id = b.id
    join budget_windows w on w.tenant = p_tenant and w.budget = b.id and w.owner = b.owner
      and w.since = window_start(b.per, zone, moment)
    order by percent desc, g.id limit 1;
end $$;

grant execute on function budget_pressure(uuid, uuid, text, text[]) to holdfast_worker;
set local role holdfast_owner;
