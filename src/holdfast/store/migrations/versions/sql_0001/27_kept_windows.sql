-- How long windows of budgets of each run are kept: there is one for every run there ever was, and once its run has ended it
-- limits nothing. What the run cost stays in the ledger, what it overran and what was estimated in their own rows.
create index budgets_of_each_run on budgets (tenant, id) where per = 'run';

grant delete on budget_windows to holdfast_engine;

set local role holdfast_engine;

-- The run that a window is of; null: of none, as of something that looks like no id.
create function run_of_window(owner text) returns uuid
language sql immutable set search_path = holdfast, pg_temp
as $$
  select case when owner ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}( |$)' then left(owner, 36)::uuid end
$$;

-- Removes windows whose run ended a week ago or is not there any more, and which hold nothing. Looks at the next p_limit after
-- a place, in the order of their runs' ids, and only at those of runs that may be so old: an id says when its run was made.
-- Answers how many are gone, and where to go on: null at the end. One worker at a time; a window that somebody holds stays
-- until the next time round.
create function sweep_windows(p_tenant uuid, p_budget uuid, p_owner text, p_limit int,
  out removed int, out next_tenant uuid, out next_budget uuid, out next_owner text)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  ended_before timestamptz := holdfast.now() - interval '7 days';
  made_before text := regexp_replace(lpad(to_hex(floor(extract(epoch from ended_before) * 1000)::bigint), 12, '0'),
                                     '(.{8})(.{4})', '\1-\2');
  looked int := 0;
  b record;
  w record;
begin
  removed := 0;
  if not pg_try_advisory_xact_lock(4861, 1) then
    return;
  end if;
  for b in select g.tenant, g.id from budgets g where g.per = 'run'
      and (p_tenant is null or (g.tenant, g.id) >= (p_tenant, p_budget))
      and exists (select from tenants t where t.id = g.tenant and t.state <> 'importing')  -- its runs may come later
      order by g.tenant, g.id loop
    for w in select x.owner, x.since from budget_windows x where x.tenant = b.tenant and x.budget = b.id
        and x.owner > case when b.tenant = p_tenant and b.id = p_budget then p_owner else '' end and x.owner < made_before
        order by x.owner limit p_limit - looked loop
      looked := looked + 1;
      next_owner := w.owner;
      continue when exists (select from runs r where r.tenant = b.tenant and r.id = run_of_window(w.owner)
                            and (r.finished_at is null or r.finished_at >= ended_before));
      perform from budget_windows x where x.tenant = b.tenant and x.budget = b.id and x.owner = w.owner and x.since = w.since
        and x.held = 0 for update skip locked;
      if found then
        delete from budget_windows x where x.tenant = b.tenant and x.budget = b.id and x.owner = w.owner and x.since = w.since;
        removed := removed + 1;
      end if;
    end loop;
    if looked >= p_limit then
      next_tenant := b.tenant;
      next_budget := b.id;
      return;
    end if;
  end loop;
  next_owner := null;
end $$;

grant execute on function sweep_windows(uuid, uuid, text, int) to holdfast_worker;
set local role holdfast_owner;
