-- What used more of a budget than had been reserved for it, newest first; where `owner` is given, of its windows.
select o.run, o.step, o.attempt, o.owner, o.since, o.reserved, o.used, o.at
from holdfast.overruns o
where o.tenant = %(tenant)s and o.budget = %(id)s and (%(owner)s::text is null or o.owner = %(owner)s)
order by o.at desc, o.run desc, o.step desc, o.attempt desc
limit %(limit)s
