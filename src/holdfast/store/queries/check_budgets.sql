-- Windows whose held amount is not the sum of what is reserved of them, as of one moment. None where all is as it has to be.
-- Looked at are windows of which something is reserved, those that are now, and those before them. What has been over for
-- longer limits nothing, and would be read for years.
with live as (
  select x.budget, x.owner, x.since, sum(x.amount)::bigint as amount
  from holdfast.reservations v
  cross join lateral unnest(v.budgets, v.owners, v.since, v.amounts) as x (budget, owner, since, amount)
  where v.tenant = %(tenant)s and not v.estimated
  group by x.budget, x.owner, x.since
), looked_at as (
  select w.budget, w.owner, w.since, w.held
  from holdfast.budgets b join holdfast.tenants t on t.id = b.tenant
  cross join lateral (select holdfast.window_start(b.per, t.time_zone, holdfast.now()) as since) s
  cross join lateral (
    select x.budget, x.owner, x.since, x.held from holdfast.budget_windows x
    where x.tenant = b.tenant and x.budget = b.id
      and x.since >= holdfast.window_start(b.per, t.time_zone, s.since - interval '1 second') offset 0) w
  where b.tenant = %(tenant)s
  union
  select l.budget, l.owner, l.since, coalesce(w.held, 0)
  from live l left join holdfast.budget_windows w on w.tenant = %(tenant)s and w.budget = l.budget and w.owner = l.owner
    and w.since = l.since
)
select w.budget, b.scope, b.key, b.unit, b.per, w.owner, w.since, w.held, coalesce(l.amount, 0) as reserved
from looked_at w
left join live l on l.budget = w.budget and l.owner = w.owner and l.since = w.since
join holdfast.budgets b on b.tenant = %(tenant)s and b.id = w.budget
where w.held <> coalesce(l.amount, 0)
order by 1, 6, 7
limit %(limit)s
