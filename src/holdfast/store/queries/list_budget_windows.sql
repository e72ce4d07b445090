-- All windows of a budget, newest first; where `owner` is given, its own.
select w.budget, w.owner, w.since, b.amount + w.extra as most, w.spent, w.held, w.extra, w.overran, w.overruns
from holdfast.budgets b join holdfast.budget_windows w on w.tenant = b.tenant and w.budget = b.id
where b.tenant = %(tenant)s and b.id = %(id)s and (%(owner)s::text is null or w.owner = %(owner)s)
order by w.since desc, w.owner desc
limit %(limit)s
