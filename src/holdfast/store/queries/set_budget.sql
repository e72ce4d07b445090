-- Sets what may be spent. Answers the budget, and what its amount was before; null: it is new.
select budget, before
from holdfast.set_budget(%(tenant)s, %(id)s, %(scope)s, %(key)s, %(unit)s, %(per)s, %(amount)s, %(by)s)
