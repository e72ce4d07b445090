-- Windows whose held amount is not the sum of what is reserved of them, as of one moment. None where all is as it has to be.
with live as (
  select x.budget, x.owner, x.since, sum(x.amount)::bigint as amount
  from holdfast.reservations v
  cross join lateral unnest(v.budgets, v.owners, v.since, v.amounts) as x (budget, owner, since, amount)
  where v.tenant = %(tenant)s and not v.estimated
  group by x.budget, x.owner, x.since
)
select coalesce(w.budget, l.budget) as budget, b.scope, b.key, b.unit, b.per, coalesce(w.owner, l.owner) as owner,
  coalesce(w.since, l.since) as since, coalesce(w.held, 0) as held, coalesce(l.amount, 0) as reserved
from (select * from holdfast.budget_windows x where x.tenant = %(tenant)s) w
full join live l on l.budget = w.budget and l.owner = w.owner and l.since = w.since
join holdfast.budgets b on b.tenant = %(tenant)s and b.id = coalesce(w.budget, l.budget)
where coalesce(w.held, 0) <> coalesce(l.amount, 0)
order by 1, 6, 7
limit %(limit)s
