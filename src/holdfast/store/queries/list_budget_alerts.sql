-- A page of alerts, newest first; where `budget` or `owner` is given, of that one.
select a.id, a.budget, b.scope, b.key, b.unit, b.per, a.owner, a.since, a.what, a.at, a.spent, a.amount
from holdfast.budget_alerts a join holdfast.budgets b on b.tenant = a.tenant and b.id = a.budget
where a.tenant = %(tenant)s
  and (%(id)s::uuid is null or a.budget = %(id)s)
  and (%(owner)s::text is null or a.owner = %(owner)s)
  and (%(before_at)s::timestamptz is null or (a.at, a.id) < (%(before_at)s, %(before_id)s::uuid))
order by a.at desc, a.id desc
limit %(limit)s
