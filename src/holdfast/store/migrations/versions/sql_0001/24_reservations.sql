-- Reserving and settling: the part of `append` that is about budgets.
--
-- A member asks for what its intents may use ('reserve') and says what its outcomes did use ('settle'), by the step and
-- attempt. Which budgets apply is read here, so that one that was set a moment ago binds. All of a member's reservations are
-- granted or none; members are gone through in order, each with what those before it left. A reservation that an earlier
-- attempt left, or that its run leaves at its end ('end'), is settled at what it held and marked estimated. What was used
-- without a reservation ('spend') counts as well: like all that exceeds its reservation it is an overrun, and never refused.
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
  owner text,
  since timestamptz,
  held bigint,  -- reserved: now, or before where it settles
  used bigint,
  unpriced boolean,  -- nobody knows what it may cost
  estimated boolean,
  w int  -- which of the windows
);

-- What the asking members change, in order.
create function spendings(m_tenant uuid[], m_run uuid[], verdict text[], wanted jsonb, moment timestamptz) returns spending[]
language sql stable set search_path = holdfast, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
  with asked as materialized (
    select x.*, m_tenant[x.m] as tenant, m_run[x.m] as run
    from jsonb_to_recordset(wanted) as x (m int, what text, step text, attempt int, model text, provider text, feature text,
                                          usd bigint, tokens bigint, requests bigint)
    where verdict[x.m] = 'appended'
  ), settled as (
    select distinct a.tenant, a.run, a.m, a.step, a.attempt from asked a where a.what = 'settle'
  ), fresh as (
    select a.m, a.what, a.step, a.attempt, b.id as budget, b.unit, b.per, t.time_zone,
      case when b.per <> 'run' then c.owner when c.scope = 'model' then r.id || ' ' || c.owner else r.id::text end as owner,
      case b.unit when 'usd' then a.usd when 'tokens' then a.tokens else a.requests end as amount
    from asked a
    join runs r on r.tenant = a.tenant and r.id = a.run
    join tenants t on t.id = a.tenant
    cross join lateral (values
      ('tenant', '', ''), ('user', '*', r.principal), ('user', r.principal, r.principal),
      ('session', '*', r.session::text), ('session', r.session::text, r.session::text),
      ('task', '*', r.task), ('task', r.task, r.task),
      ('feature', '*', nullif(a.feature, '')), ('feature', nullif(a.feature, ''), a.feature),
      ('model', '*', nullif(a.model, '')), ('model', nullif(a.model, ''), a.model),
      ('model', a.provider || ':' || nullif(a.model, ''), a.provider || ':' || a.model)) as c (scope, key, owner)
    join budgets b on b.tenant = a.tenant and b.scope = c.scope and b.key = c.key and c.owner is not null
      and b.ended_at is null
    where a.what in ('reserve', 'spend')
  ), grown as (
    select f.m, f.what = 'spend' as settles, f.step, f.attempt, null::int as place, f.budget, f.unit, f.owner,
      window_start(f.per, f.time_zone, moment) as since,
      case f.what when 'reserve' then coalesce(sum(f.amount), 0) else 0 end::bigint as held,
      case f.what when 'spend' then coalesce(sum(f.amount), 0) else 0 end::bigint as used,
      f.what = 'reserve' and bool_or(f.amount is null) as unpriced, false as estimated
    from fresh f
    group by f.m, f.what, f.step, f.attempt, f.budget, f.unit, f.owner, f.per, f.time_zone
  ), known as (
    select s.m, true as settles, v.step, v.attempt, x.place::int, x.budget, b.unit, x.owner, x.since, x.amount as held,
      case when bool_or(a.tenant is not null and u.used is null)
        then greatest(x.amount, coalesce(sum(u.used), 0)) else coalesce(sum(u.used), 0) end::bigint as used,
      false as unpriced, bool_or(a.tenant is not null and u.used is null) as estimated
    from settled s
    join reservations v on v.tenant = s.tenant and v.run = s.run and v.step = s.step and v.attempt = s.attempt
      and not v.estimated
    cross join lateral unnest(v.budgets, v.owners, v.since, v.amounts) with ordinality as x (budget, owner, since, amount, place)
    join budgets b on b.tenant = v.tenant and b.id = x.budget
    left join asked a on a.what = 'settle' and a.m = s.m and a.step = v.step and a.attempt = v.attempt
      and (b.scope <> 'model' or x.owner in (a.model, a.provider || ':' || a.model, v.run || ' ' || a.model,
                                             v.run || ' ' || a.provider || ':' || a.model))
    cross join lateral (select case b.unit when 'usd' then a.usd when 'tokens' then a.tokens else a.requests end as used) u
    group by s.m, v.step, v.attempt, x.place, x.budget, b.unit, x.owner, x.since, x.amount
  ), left_behind as (
    select distinct on (v.tenant, v.run, v.step, v.attempt) a.m, v.* from asked a
    join reservations v on v.tenant = a.tenant and v.run = a.run and not v.estimated
      and (a.what = 'end' or a.what = 'reserve' and v.step = a.step and v.attempt < a.attempt)
    where not exists (select from settled s where s.tenant = v.tenant and s.run = v.run and s.step = v.step
                      and s.attempt = v.attempt)
  ), guessed as (
    select l.m, true as settles, l.step, l.attempt, x.place::int, x.budget, b.unit, x.owner, x.since, x.amount as held,
      x.amount as used, false as unpriced, true as estimated
    from left_behind l
    cross join lateral unnest(l.budgets, l.owners, l.since, l.amounts) with ordinality as x (budget, owner, since, amount, place)
    join budgets b on b.tenant = l.tenant and b.id = x.budget
  ), lines as (
    table grown union all table known union all table guessed
  )
  select array_agg(row(l.m, l.settles, l.step, l.attempt, l.place, l.budget, l.unit, l.owner, l.since, l.held, l.used,
                       l.unpriced, l.estimated, l.w)::spending order by l.m, l.settles desc, l.step, l.attempt, l.place, l.w)
  from (select *, dense_rank() over (order by m_tenant[l.m], l.budget, l.owner, l.since)::int as w
        from lines l where l.held <> 0 or l.used <> 0 or l.unpriced or l.place is not null) l
$$;

-- Reserves and settles for all members that ask. Answers each member's verdict, 'busy' and 'over_budget' and 'unpriced' among
-- them, and of those that are refused why, by their number.
create function spend_budgets(m_tenant uuid[], m_run uuid[], verdict text[], wanted jsonb, moment timestamptz,
  out verdicts text[], out details jsonb)
language plpgsql volatile set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  lines spending[] := spendings(m_tenant, m_run, verdict, wanted, moment);
  l spending;
  many int;
  found_w int[];
  most bigint[];
  spent bigint[];
  held bigint[];
  overran bigint[];
  overruns int[];
  told int[];
  spent_before bigint[];
  held_before bigint[];
  member int := 0;
  refused boolean := false;
  blocked int[];
  missing record;
  crossed int[] := '{}';
  done int;
begin
  verdicts := verdict;
  details := '{}';
  if lines is null then
    return;
  end if;
  many := (select max(x.w) from unnest(lines) x);

  -- Lock in key order, never waiting.
  for done in 1..2 loop
    with windows as materialized (
      select distinct on (x.w) x.w, m_tenant[x.m] as tenant, x.budget, x.owner, x.since from unnest(lines) x order by x.w
    ), locked as materialized (
      select k.w, b.amount + w.extra as most, w.spent, w.held, w.overran, w.overruns, w.told
      from windows k
      join budget_windows w on w.tenant = k.tenant and w.budget = k.budget and w.owner = k.owner and w.since = k.since
      join budgets b on b.tenant = k.tenant and b.id = k.budget
      order by w.tenant, w.budget, w.owner, w.since for no key update of w skip locked
    )
    select array_agg(x.w), array_agg(x.most), array_agg(x.spent), array_agg(x.held), array_agg(x.overran),
      array_agg(x.overruns), array_agg(x.told)
    into found_w, most, spent, held, overran, overruns, told
    from (select k.w, c.most, c.spent, c.held, c.overran, c.overruns, c.told
          from generate_series(1, many) as k (w) left join locked c on c.w = k.w order by k.w) x;
    exit when array_position(most, null) is null;
    -- Windows that are not there yet. Who makes one holds its lock until the end, so that nobody waits for another's row.
    exit when done = 2;
    insert into budget_windows (tenant, budget, owner, since)
    select m_tenant[x.m], x.budget, x.owner, x.since
    from (select distinct on (y.w) y.* from unnest(lines) y order by y.w) x
    where most[x.w] is null
      and not exists (select from budget_windows w where w.tenant = m_tenant[x.m] and w.budget = x.budget
                      and w.owner = x.owner and w.since = x.since)
      and pg_try_advisory_xact_lock(4859, hashtext(x.budget || x.owner || x.since))
    on conflict do nothing;
    exit when not found;
  end loop;
  if array_position(most, null) is not null then
    select array_agg(distinct x.m) into blocked from unnest(lines) x where most[x.w] is null;
    foreach done in array blocked loop
      verdicts[done] := 'busy';
    end loop;
  end if;

  -- Judge in order, by what those before left.
  foreach l in array lines loop
    if l.m <> member then
      member := l.m;
      refused := verdicts[member] <> 'appended';
      spent_before := spent;
      held_before := held;
    end if;
    continue when refused;
    if l.settles then
      held[l.w] := held[l.w] - l.held;
      spent[l.w] := spent[l.w] + l.used;
    elsif l.unpriced or spent[l.w] + held[l.w] + l.held > most[l.w] then
      refused := true;
      verdicts[member] := case when l.unpriced then 'unpriced' else 'over_budget' end;
      details := details || jsonb_build_object(member, jsonb_build_object('budget', l.budget, 'owner', l.owner,
        'since', l.since, 'most', most[l.w], 'spent', spent[l.w], 'held', held[l.w], 'wanted', l.held));
      if not l.unpriced and spent[l.w] + l.held > most[l.w] and told[l.w] & 4 = 0 then
        crossed := crossed || l.w;
      end if;
      spent := spent_before;
      held := held_before;
    else
      held[l.w] := held[l.w] + l.held;
    end if;
  end loop;

  -- Write.
  foreach l in array lines loop
    if l.settles and verdicts[l.m] = 'appended' and l.used > l.held then
      overran[l.w] := overran[l.w] + l.used - l.held;
      overruns[l.w] := overruns[l.w] + 1;
    end if;
  end loop;
  for done in 1..many loop
    if spent[done] > 0 and most[done] is not null and told[done] & 7 <> 7 then
      if (spent[done] >= most[done] and told[done] & 4 = 0) or (spent[done] * 5 >= most[done] * 4 and told[done] & 2 = 0)
        or (spent[done] * 2 >= most[done] and told[done] & 1 = 0) then
        crossed := crossed || done;
      end if;
    end if;
  end loop;
  perform write_spendings(m_tenant, m_run, verdicts, lines, spent, held, overran, overruns, moment);
  perform raise_alerts(m_tenant, lines, crossed, most, spent, moment);

  select details || coalesce(jsonb_object_agg(d.key, d.value || jsonb_build_object('scope', b.scope, 'key', b.key,
    'unit', b.unit, 'per', b.per, 'at', moment, 'until', window_end(b.per, t.time_zone, moment))), '{}') into details
  from jsonb_each(details) d join budgets b on b.tenant = m_tenant[d.key::int] and b.id = (d.value ->> 'budget')::uuid
  join tenants t on t.id = b.tenant;
end $$;

create function write_spendings(m_tenant uuid[], m_run uuid[], verdict text[], lines spending[], spent bigint[], held bigint[],
  overran bigint[], overruns int[], moment timestamptz) returns void
language plpgsql volatile set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  with changed as (
    select distinct on (l.w) l.*, m_tenant[l.m] as tenant from unnest(lines) l where verdict[l.m] = 'appended' order by l.w
  ), counted as (
    update budget_windows b set spent = write_spendings.spent[c.w], held = write_spendings.held[c.w],
      overran = write_spendings.overran[c.w], overruns = write_spendings.overruns[c.w]
    from changed c
    where b.tenant = c.tenant and b.budget = c.budget and b.owner = c.owner and b.since = c.since
  ), closing as (
    select l.m, l.step, l.attempt, bool_or(l.estimated) as estimated, array_agg(l.used order by l.place) as used
    from unnest(lines) l where verdict[l.m] = 'appended' and l.settles and l.place is not null
    group by l.m, l.step, l.attempt
  ), closed as (
    delete from reservations v using closing c
    where not c.estimated and v.tenant = m_tenant[c.m] and v.run = m_run[c.m] and v.step = c.step and v.attempt = c.attempt
  ), guessed as (
    update reservations v set estimated = true, amounts = c.used from closing c
    where c.estimated and v.tenant = m_tenant[c.m] and v.run = m_run[c.m] and v.step = c.step and v.attempt = c.attempt
  ), passed as (
    insert into overruns (tenant, run, step, attempt, budget, owner, since, reserved, used, at)
    select m_tenant[l.m], m_run[l.m], l.step, l.attempt, l.budget, l.owner, l.since, l.held, l.used, moment
    from unnest(lines) l where verdict[l.m] = 'appended' and l.settles and l.used > l.held
    on conflict do nothing
  )
  insert into reservations (tenant, run, step, attempt, budgets, owners, since, amounts, at)
  select m_tenant[l.m], m_run[l.m], l.step, l.attempt, array_agg(l.budget order by l.w), array_agg(l.owner order by l.w),
    array_agg(l.since order by l.w), array_agg(l.held order by l.w), moment
  from unnest(lines) l where verdict[l.m] = 'appended' and not l.settles
  group by l.m, l.step, l.attempt;
end $$;

-- Tells what the windows numbered `crossed` have come to.
create function raise_alerts(m_tenant uuid[], lines spending[], crossed int[], most bigint[], spent bigint[],
  moment timestamptz) returns void
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
begin
  if cardinality(crossed) = 0 then
    return;
  end if;
  with reached as (
    select distinct on (l.w) l.w, m_tenant[l.m] as tenant, l.budget, l.owner, l.since
    from unnest(lines) l where l.w = any (crossed) order by l.w
  ), said as (
    insert into budget_alerts (tenant, budget, owner, since, what, at, spent, amount)
    select r.tenant, r.budget, r.owner, r.since, a.what, moment, spent[r.w], most[r.w]
    from reached r cross join (values ('half', 5), ('most', 8), ('all', 10)) as a (what, tenths)
    where spent[r.w] * 10 >= most[r.w] * a.tenths or a.what = 'all' and spent[r.w] * 10 < most[r.w] * 10
      and r.w = any (crossed) and exists (select from unnest(lines) l where l.w = r.w and not l.settles
                                          and spent[r.w] + l.held > most[r.w])
    on conflict do nothing
    returning tenant, budget, owner, since, what
  )
  update budget_windows b set told = b.told | s.bits
  from (select tenant, budget, owner, since, sum(case what when 'half' then 1 when 'most' then 2 else 4 end)::int as bits
        from said group by tenant, budget, owner, since) s
  where b.tenant = s.tenant and b.budget = s.budget and b.owner = s.owner and b.since = s.since;
end $$;
set local role holdfast_owner;
