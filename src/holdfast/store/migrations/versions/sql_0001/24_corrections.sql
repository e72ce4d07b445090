-- What is asked of reservations and settled in them afterwards.
set local role holdfast_engine;

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
begin
  perform must_be_tenant(p_tenant);
  return query
    select g.id, least(((w.spent + w.held)::numeric * 100 / greatest(g.amount + w.extra, 1)), 1000)::int as percent
    from unnest(budgets_of(p_tenant, p_run, p_feature, p_models, holdfast.now())) b
    join budgets g on g.tenant = p_tenant and g.id = b.budget
    join budget_windows w on w.tenant = p_tenant and w.budget = b.budget and w.owner = b.owner and w.since = b.since
    order by percent desc, g.id limit 1;
end $$;

grant execute on function budget_pressure(uuid, uuid, text, text[]) to holdfast_worker;
set local role holdfast_owner;
