-- A page of reservations for people to look into: settled without anybody knowing what was used, or held by a run that is not
-- at work. By run, step and attempt. Each with what it holds of which budget.
select v.run, v.step, v.attempt, v.estimated, v.at, r.state, r.waiting_on, r.task,
  (select coalesce(json_agg(json_build_object('budget', b.id, 'scope', b.scope, 'key', b.key, 'unit', b.unit, 'per', b.per,
     'owner', x.owner, 'amount', x.amount)), '[]')::text
   from unnest(v.budgets, v.owners, v.amounts) as x (budget, owner, amount)
   join holdfast.budgets b on b.tenant = v.tenant and b.id = x.budget) as amounts
from holdfast.reservations v left join holdfast.runs r on r.tenant = v.tenant and r.id = v.run
where v.tenant = %(tenant)s
  and (v.estimated or r.state is distinct from 'running')
  and (%(after)s::uuid is null or (v.run, v.step, v.attempt) > (%(after)s, %(step)s::text, %(attempt)s::int))
order by v.run, v.step, v.attempt
limit %(limit)s
