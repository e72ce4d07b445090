-- What of a budget is held, and what of it was settled without anybody knowing what was used: what is held first, the oldest
-- first. Where `owner` is given, of its windows.
select v.run, v.step, v.attempt, x.owner, x.since, x.amount, v.estimated, v.at, r.state, r.waiting_on, r.task
from holdfast.reservations v
cross join lateral unnest(v.budgets, v.owners, v.since, v.amounts) as x (budget, owner, since, amount)
left join holdfast.runs r on r.tenant = v.tenant and r.id = v.run
where v.tenant = %(tenant)s and x.budget = %(id)s and (%(owner)s::text is null or x.owner = %(owner)s)
order by v.estimated, v.at, v.run, v.step, v.attempt
limit %(limit)s
