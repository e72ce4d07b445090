-- Ends a budget. False: there is none of this id in force.
select holdfast.end_budget(%(tenant)s, %(id)s, %(by)s)
