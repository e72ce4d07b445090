-- Removes windows of budgets of each run whose run ended a week ago: how many are gone, and where to go on; null at the end.
select removed, next_tenant, next_budget, next_owner
from holdfast.sweep_windows(%(after)s, %(budget)s, %(owner)s, %(limit)s)
