-- Of the budgets that a run's next request counts towards, the one that is fullest, and how full in percent.
select budget, percent
from holdfast.budget_pressure(%(tenant)s, %(run)s, %(feature)s, %(models)s::text[])
