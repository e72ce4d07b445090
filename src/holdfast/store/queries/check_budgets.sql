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
select d.budget, b.scope, b.key, b.unit, b.per, d.owner, d.since, d.held, d.reserved
from (
  select c.budget, c.owner, c.since, sum(c.held)::bigint as held, sum(c.reserved)::bigint as reserved
  from (
    select w.budget, w.owner, w.since, w.held, 0 as reserved from looked_at w
    union all
    select l.budget, l.owner, l.since, 0, l.amount from live l) c
  group by c.budget, c.owner, c.since having sum(c.held) <> sum(c.reserved)) d
join holdfast.budgets b on b.tenant = %(tenant)s and b.id = d.budget
order by 1, 6, 7
limit %(limit)s
