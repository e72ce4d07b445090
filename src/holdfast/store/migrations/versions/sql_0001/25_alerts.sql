-- Alerts that come with time, and what of alerts there is to log. That a window is half, four fifths or all spent is told by
-- the append that spends it (24_budget_windows.sql); that it will not last is asked here, now and then, by some worker.
set local role holdfast_engine;

-- Tells of windows that, spending as they have, will be over their limit before they end; once a tenth of the time is past in
-- which they could spend. A window that somebody holds is asked of the next time.
create function forecast_budgets(moment timestamptz, p_limit int) returns void
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
begin
  with under_way as materialized (
    select b.tenant, b.id, b.amount, s.since, s.until, greatest(s.since, b.created_at) as began
    from budgets b join tenants t on t.id = b.tenant
    cross join lateral (select window_start(b.per, t.time_zone, moment) as since,
                               window_end(b.per, t.time_zone, moment) as until) s
    where b.ended_at is null and b.per in ('hour', 'day', 'week', 'month')
  ), failing as materialized (
    select w.tenant, w.budget, w.owner, w.since, w.spent, u.amount + w.extra as most
    from under_way u join budget_windows w on w.tenant = u.tenant and w.budget = u.id and w.since = u.since
    where w.told & 12 = 0 and w.spent > 0 and w.spent < u.amount + w.extra
      and moment - u.began >= (u.until - u.since) / 10
      and w.spent * extract(epoch from u.until - u.began) > (u.amount + w.extra) * extract(epoch from moment - u.began)
    order by w.tenant, w.budget, w.owner, w.since limit p_limit for no key update of w skip locked
  ), told as (
    insert into budget_alerts (tenant, budget, owner, since, what, at, spent, amount)
    select f.tenant, f.budget, f.owner, f.since, 'forecast', moment, f.spent, f.most from failing f
    on conflict do nothing
  )
  update budget_windows w set told = w.told | 8 from failing f
  where w.tenant = f.tenant and w.budget = f.budget and w.owner = f.owner and w.since = f.since;
end $$;

-- Alerts that no worker has logged yet, those that are due by now included. Whom they are answered to is to log them: each is
-- answered once.
create function tell_alerts(p_limit int) returns table (tenant uuid, budget uuid, scope text, key text, unit text, per text,
  owner text, since timestamptz, what text, at timestamptz, spent bigint, amount bigint)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
as $$
#variable_conflict use_column
begin
  -- One worker at a time; the others ask again soon.
  if not pg_try_advisory_xact_lock(4861, 0) then
    return;
  end if;
  perform forecast_budgets(holdfast.now(), p_limit);
  return query
    with fresh as (
      select a.tenant, a.id from budget_alerts a where not a.logged order by a.at limit p_limit for no key update skip locked
    )
    update budget_alerts a set logged = true from fresh f, budgets b
    where a.tenant = f.tenant and a.id = f.id and b.tenant = a.tenant and b.id = a.budget
    returning a.tenant, a.budget, b.scope, b.key, b.unit, b.per, a.owner, a.since, a.what, a.at, a.spent, a.amount;
end $$;

grant execute on function tell_alerts(int) to holdfast_worker;
set local role holdfast_owner;
