-- Reserving and settling, second part: whether there is room, and what is written.
set local role holdfast_engine;

-- Locks the windows of these lines in key order, and says whether there is room for all of them, in whatever order, and
-- nothing to tell of. False too where others hold a window, or there is none yet. Where `patient`, it waits for others, and
-- fails with 'lock_not_available' when that was in vain. The statement stands twice: SKIP LOCKED takes no parameter.
create function all_fit(m_tenant uuid[], lines spending[], patient boolean, out fits boolean)
language plpgsql volatile set search_path = holdfast, pg_temp set lock_timeout = '300ms'
as $$
begin
  if patient then
    select bool_and(k.most is not null and not m.unpriced and not to_tell(k.told, k.spent + m.used, k.most)
                    and (m.asked = 0 or k.spent + k.held + m.asked + m.overran <= k.most)) into fits
    from (
      select m_tenant[x.m] as tenant, x.budget, x.owner, x.since, sum(case when x.settles then 0 else x.held end)::bigint as asked,
        sum(x.used)::bigint as used, sum(greatest(x.used - x.held, 0))::bigint as overran, bool_or(x.unpriced) as unpriced
      from unnest(lines) x group by 1, 2, 3, 4 order by 1, 2, 3, 4
    ) m
    left join lateral (
      select b.amount + w.extra as most, w.spent, w.held, w.told
      from budget_windows w, lateral (select g.amount from budgets g where g.tenant = w.tenant and g.id = w.budget offset 0) b
      where w.tenant = m.tenant and w.budget = m.budget and w.owner = m.owner and w.since = m.since
      for no key update of w
    ) k on true;
  else
    select bool_and(k.most is not null and not m.unpriced and not to_tell(k.told, k.spent + m.used, k.most)
                    and (m.asked = 0 or k.spent + k.held + m.asked + m.overran <= k.most)) into fits
    from (
      select m_tenant[x.m] as tenant, x.budget, x.owner, x.since, sum(case when x.settles then 0 else x.held end)::bigint as asked,
        sum(x.used)::bigint as used, sum(greatest(x.used - x.held, 0))::bigint as overran, bool_or(x.unpriced) as unpriced
      from unnest(lines) x group by 1, 2, 3, 4 order by 1, 2, 3, 4
    ) m
    left join lateral (
      select b.amount + w.extra as most, w.spent, w.held, w.told
      from budget_windows w, lateral (select g.amount from budgets g where g.tenant = w.tenant and g.id = w.budget offset 0) b
      where w.tenant = m.tenant and w.budget = m.budget and w.owner = m.owner and w.since = m.since
      for no key update of w skip locked
    ) k on true;
  end if;
end $$;

-- What is known of a window, for as long as its members are judged.
create function lock_window(p_tenant uuid, l spending, out most bigint, out spent bigint, out held bigint, out told int)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
begin
  select g.amount + w.extra, w.spent, w.held, w.told into most, spent, held, told
  from budget_windows w, lateral (select b.amount from budgets b where b.tenant = w.tenant and b.id = w.budget offset 0) g
  where w.tenant = p_tenant and w.budget = l.budget and w.owner = l.owner and w.since = l.since
  for no key update of w skip locked;
  if not found and not exists (select from budget_windows w where w.tenant = p_tenant and w.budget = l.budget
                               and w.owner = l.owner and w.since = l.since)
    and pg_try_advisory_xact_lock(4859, window_lock(l.budget, l.owner, l.since)) then
    insert into budget_windows as w (tenant, budget, owner, since) values (p_tenant, l.budget, l.owner, l.since)
    on conflict do nothing
    returning (select g.amount from budgets g where g.tenant = w.tenant and g.id = w.budget), w.spent, w.held, w.told
    into most, spent, held, told;
  end if;
end $$;

-- Judges each member by what those before it leave; in it, what is settled comes first. Answers the verdicts, why members are refused, what is granted, and the
-- numbers of the windows of which there is something to tell, with how those stand.
create function judge_spendings(m_tenant uuid[], verdict text[], lines spending[], moment timestamptz, out verdicts text[],
  out details jsonb, out numbered spending[], out granted spending[], out crossed int[], out most bigint[], out spent bigint[])
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  l spending;
  x record;
  held bigint[];
  told int[];
  spent_before bigint[];
  held_before bigint[];
  member int := 0;
  refused boolean := false;
begin
  verdicts := verdict;
  details := '{}';
  crossed := '{}';
  numbered := array(
    select row(n.m, n.settles, n.step, n.attempt, n.place, n.budget, n.unit, n.model, n.owner, n.since, n.held, n.used,
               n.unpriced, n.estimated, n.w)::spending
    from (select y.*, dense_rank() over (order by m_tenant[y.m], y.budget, y.owner, y.since)::int as w
          from unnest(lines) with ordinality as y (m, settles, step, attempt, place, budget, unit, model, owner, since, held,
                                                   used, unpriced, estimated, unnumbered, nth)) n
    order by n.m, n.settles desc, n.nth);
  for l in select distinct on (y.w) y.* from unnest(numbered) y order by y.w loop
    x := lock_window(m_tenant[l.m], l);
    most[l.w] := x.most;  -- null: others hold it
    spent[l.w] := x.spent;
    held[l.w] := x.held;
    told[l.w] := x.told;
  end loop;
  foreach l in array numbered loop
    if l.m <> member then
      member := l.m;
      refused := false;
      spent_before := spent;
      held_before := held;
    end if;
    continue when refused;
    if most[l.w] is null then
      refused := true;
      verdicts[member] := 'busy';
    elsif l.settles then
      held[l.w] := held[l.w] - l.held;
      spent[l.w] := spent[l.w] + l.used;
    elsif l.unpriced or spent[l.w] + held[l.w] + l.held > most[l.w] then
      refused := true;
      verdicts[member] := case when l.unpriced then 'unpriced' else 'over_budget' end;
      details := details || jsonb_build_object(member, shortage(m_tenant[member], l, most[l.w], spent[l.w], held[l.w], moment));
      if not l.unpriced and spent[l.w] + l.held > most[l.w] and told[l.w] & 4 = 0 then
        crossed := crossed || l.w;
      end if;
    else
      held[l.w] := held[l.w] + l.held;
    end if;
    if refused then
      spent := spent_before;
      held := held_before;
    end if;
  end loop;
  granted := '{}';
  foreach l in array numbered loop
    if verdicts[l.m] = 'appended' then
      granted := granted || l;
    end if;
  end loop;
  for w in 1..cardinality(most) loop
    if to_tell(told[w], spent[w], most[w]) then
      crossed := crossed || w;
    end if;
  end loop;
end $$;

-- Whether a window that has come to this passed a threshold of which it has not told.
create function to_tell(told int, spent bigint, most bigint) returns boolean
language sql immutable
as $$
  select told & 7 <> 7 and spent > 0 and spent * 2 >= most
    and (told & 1 = 0 or (told & 2 = 0 and spent * 5 >= most * 4) or (told & 4 = 0 and spent >= most))
$$;

-- Reserves and settles for all members that ask. Answers each member's verdict, 'busy' and 'over_budget' and 'unpriced' among
-- them, and of those that are refused why, by their number. Part of `append`: its settings hold here.
--
-- Where there is room for all in any order, which is nearly always, the order need not be gone through.
create function spend_budgets(m_tenant uuid[], m_run uuid[], verdict text[], wanted jsonb, patient boolean, moment timestamptz,
  out verdicts text[], out details jsonb)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  lines spending[] := spendings(m_tenant, m_run, verdict, wanted, moment);
  judged record;
begin
  verdicts := verdict;
  details := '{}';
  if cardinality(lines) = 0 then
    return;
  end if;
  if not all_fit(m_tenant, lines, patient) then
    judged := judge_spendings(m_tenant, verdict, lines, moment);
    verdicts := judged.verdicts;
    details := judged.details;
    if cardinality(judged.crossed) > 0 then
      perform raise_alerts(m_tenant, judged.numbered, judged.crossed, judged.most, judged.spent, moment);
    end if;
    lines := judged.granted;
  end if;
  perform write_spendings(m_tenant, m_run, lines, moment);
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

-- Writes what is granted.
create function write_spendings(m_tenant uuid[], m_run uuid[], lines spending[], moment timestamptz) returns void
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  l spending;
  reserves boolean := false;
  passes boolean := false;
  over spending[] := '{}';  -- the first line of each reservation that is settled
begin
  update budget_windows w set spent = w.spent + m.used, held = w.held + m.held, overran = w.overran + m.overran,
    overruns = w.overruns + m.overruns
  from (
    select m_tenant[x.m] as tenant, x.budget, x.owner, x.since, sum(case when x.settles then -x.held else x.held end) as held,
      sum(x.used) as used, sum(greatest(x.used - x.held, 0)) as overran, count(*) filter (where x.used > x.held) as overruns
    from unnest(lines) x group by 1, 2, 3, 4
  ) m
  where w.tenant = m.tenant and w.budget = m.budget and w.owner = m.owner and w.since = m.since;
  foreach l in array lines loop
    if not l.settles then
      reserves := true;
      continue;
    end if;
    passes := passes or l.used > l.held;
    if l.place = 1 then
      over := over || l;
    end if;
    if l.estimated then
      over[cardinality(over)].estimated := true;
    end if;
  end loop;
  if cardinality(over) > 0 then
    delete from reservations v using unnest(over) x
    where not x.estimated and v.tenant = m_tenant[x.m] and v.run = m_run[x.m] and v.step = x.step and v.attempt = x.attempt;
    foreach l in array over loop
      continue when not l.estimated;
      update reservations v set estimated = true,
        amounts = array(select x.used from unnest(lines) x where x.m = l.m and x.step = l.step and x.attempt = l.attempt
                        and x.place is not null order by x.place)
      where v.tenant = m_tenant[l.m] and v.run = m_run[l.m] and v.step = l.step and v.attempt = l.attempt;
    end loop;
  end if;
  if reserves then
    insert into reservations (tenant, run, step, attempt, budgets, units, models, owners, since, amounts, at)
    select m_tenant[x.m], m_run[x.m], x.step, x.attempt, array_agg(x.budget order by x.nth), array_agg(x.unit order by x.nth),
      array_agg(x.model order by x.nth), array_agg(x.owner order by x.nth), array_agg(x.since order by x.nth),
      array_agg(x.held order by x.nth), moment
    from unnest(lines) with ordinality as x (m, settles, step, attempt, place, budget, unit, model, owner, since, held, used,
                                             unpriced, estimated, w, nth)
    where not x.settles
    group by x.m, x.step, x.attempt;
  end if;
  if passes then
    insert into overruns (tenant, run, step, attempt, budget, owner, since, reserved, used, at)
    select m_tenant[x.m], m_run[x.m], x.step, x.attempt, x.budget, x.owner, x.since, x.held, x.used, moment
    from unnest(lines) x where x.settles and x.used > x.held
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

set local role holdfast_owner;
