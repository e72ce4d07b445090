-- Reserving and settling: the part of `append` that is about budgets.
--
-- A member asks for what its intents may use ('reserve') and says what its outcomes did use ('settle'), by the step and
-- attempt. Which budgets apply is read here, so that one that was set a moment ago binds. All of a member's reservations are
-- granted or none; members are gone through in order, each with what those before it left. A reservation that an attempt
-- left which nobody waits for any more ('void', or a later attempt), or that its run leaves at its end ('end'), is settled at
-- what it held and marked estimated. What was used without a reservation ('spend') counts as well: like all that exceeds its
-- reservation it is an overrun, and never refused.
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
  w int  -- which of the windows, where that is asked
);

-- A window of a budget that a step counts towards.
create type budgeted as (
  budget uuid,
  unit text,
  model text,  -- of a model's budget: which; else ''
  owner text,
  since timestamptz
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

-- The part of what was used, or may be, that is about one model.
create function part_of(models jsonb, p_model text, unit text, out amount bigint, out is_unknown boolean)
language plpgsql immutable set search_path = holdfast, pg_temp
as $$
declare
  x jsonb;
begin
  amount := 0;
  is_unknown := false;
  for x in select e from jsonb_array_elements(models) e loop
    if p_model in (x ->> 'model', (x ->> 'provider') || ':' || (x ->> 'model')) then
      amount := amount + coalesce((x ->> unit)::bigint, 0);
      is_unknown := is_unknown or x ->> unit is null;
    end if;
  end loop;
end $$;

-- The budgets that a step of a run counts towards, and since when their windows are: `models` are those that it may ask, with
-- their provider's name in front.
create function budgets_of(p_tenant uuid, p_run uuid, feature text, models text[], moment timestamptz) returns budgeted[]
language plpgsql stable set search_path = holdfast, pg_temp
as $$
declare
  whose record;
  keys text[];
  named text[] := '{}';  -- the models, without their providers: once each, though a chain asks one of two providers
begin
  select r.principal, r.session, r.task, t.time_zone into whose
  from runs r, tenants t where r.tenant = p_tenant and r.id = p_run and t.id = r.tenant;
  keys := array['tenant:', 'user:*', 'user:' || whose.principal, 'task:*', 'task:' || whose.task];
  if whose.session is not null then
    keys := keys || array['session:*', 'session:' || whose.session];
  end if;
  if feature <> '' then
    keys := keys || array['feature:*', 'feature:' || feature];
  end if;
  for nth in 1..cardinality(models) loop
    named := named || substr(models[nth], strpos(models[nth], ':') + 1);
    keys := keys || array['model:*', 'model:' || models[nth], 'model:' || named[nth]];
  end loop;
  if cardinality(named) > 1 then
    named := array(select distinct n from unnest(named) n);
  end if;
  return array(
    select row(b.id, b.unit, case b.scope when 'model' then o.owner else '' end,
      case when b.per <> 'run' then o.owner when b.scope = 'model' then p_run || ' ' || o.owner else p_run::text end,
      window_start(b.per, whose.time_zone, moment))::budgeted
    from budgets b
    cross join lateral unnest(case b.scope
      when 'tenant' then array['']
      when 'user' then array[whose.principal]
      when 'session' then array[whose.session::text]
      when 'task' then array[whose.task]
      when 'feature' then array[feature]
      else case b.key when '*' then named else array[b.key] end end) as o (owner)
    where b.tenant = p_tenant and b.scope || ':' || b.key = any (keys) and b.ended_at is null);
end $$;

-- What the asking members change, in order.
create function spendings(m_tenant uuid[], m_run uuid[], verdict text[], wanted jsonb, moment timestamptz) returns spending[]
language plpgsql stable set search_path = holdfast, pg_temp
as $$
declare
  lines spending[] := '{}';
  settled text[] := '{}';
  a record;
  b budgeted;
  names text[];
  kept reservations;
  amount bigint;
  unknown boolean;
begin
  for a in
    select x.* from jsonb_to_recordset(wanted) as x (m int, what text, step text, attempt int, feature text, usd bigint,
      tokens bigint, requests bigint, no_usd boolean, no_tokens boolean, models jsonb)
    where verdict[x.m] = 'appended'
  loop
    if a.what in ('settle', 'void') then
      select * into kept from reservations v where v.tenant = m_tenant[a.m] and v.run = m_run[a.m] and v.step = a.step
        and v.attempt = a.attempt and not v.estimated;
      continue when not found;
      settled := settled || (a.m || ' ' || a.step || ' ' || a.attempt);
      if a.what = 'void' then
        lines := lines || guessed(a.m, kept);
        continue;
      end if;
      for place in 1..cardinality(kept.budgets) loop
        amount := case kept.units[place] when 'usd' then a.usd when 'tokens' then a.tokens else a.requests end;
        unknown := case kept.units[place] when 'usd' then a.no_usd when 'tokens' then a.no_tokens else false end;
        if kept.models[place] <> '' then
          select p.amount, p.is_unknown into amount, unknown from part_of(a.models, kept.models[place], kept.units[place]) p;
        end if;
        lines := lines || row(a.m, true, a.step, a.attempt, place, kept.budgets[place], kept.units[place],
          kept.models[place], kept.owners[place], kept.since[place], kept.amounts[place],
          case when unknown then greatest(amount, kept.amounts[place]) else amount end, false, unknown, null)::spending;
      end loop;
    elsif a.what in ('reserve', 'spend') then
      if a.what = 'reserve' and a.attempt > 1 then
        for kept in select * from reservations v where v.tenant = m_tenant[a.m] and v.run = m_run[a.m] and v.step = a.step
            and v.attempt < a.attempt and not v.estimated loop
          if a.m || ' ' || kept.step || ' ' || kept.attempt <> all (settled) then
            lines := lines || guessed(a.m, kept);
          end if;
        end loop;
      end if;
      names := '{}';
      for nth in 0..jsonb_array_length(a.models) - 1 loop
        names := names || ((a.models -> nth ->> 'provider') || ':' || (a.models -> nth ->> 'model'));
      end loop;
      foreach b in array budgets_of(m_tenant[a.m], m_run[a.m], a.feature, names, moment) loop
        amount := case b.unit when 'usd' then a.usd when 'tokens' then a.tokens else a.requests end;
        unknown := case b.unit when 'usd' then a.no_usd when 'tokens' then a.no_tokens else false end;
        if b.model <> '' then
          select p.amount, p.is_unknown into amount, unknown from part_of(a.models, b.model, b.unit) p;
        end if;
        if amount <> 0 or unknown then
          lines := lines || row(a.m, a.what = 'spend', a.step, a.attempt, null, b.budget, b.unit, b.model, b.owner,
            b.since, case a.what when 'reserve' then amount else 0 end, case a.what when 'spend' then amount else 0 end,
            a.what = 'reserve' and unknown, false, null)::spending;
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
  return lines;
end $$;

set local role holdfast_owner;
