-- The windows that are now of some budgets: of each so many, the fullest first. Of a budget of each run the newest runs, as it
-- has a window for every run there ever was.
select w.budget, w.owner, w.since, b.amount + w.extra as most, w.spent, w.held, w.extra, w.overran, w.overruns
from holdfast.budgets b join holdfast.tenants t on t.id = b.tenant
cross join lateral (
  (select x.* from holdfast.budget_windows x
   where b.per <> 'run' and x.tenant = b.tenant and x.budget = b.id
     and x.since = holdfast.window_start(b.per, t.time_zone, holdfast.now())
   order by (x.spent + x.held)::numeric / greatest(b.amount + x.extra, 1) desc, x.owner limit %(each)s)
  union all
  (select x.* from holdfast.budget_windows x
   where b.per = 'run' and x.tenant = b.tenant and x.budget = b.id order by x.owner desc limit %(each)s)) w
where b.tenant = %(tenant)s and b.id = any (%(ids)s)
