-- Raises a budget for the window that is now: 'raised', 'absent', or 'asked_before' by this idempotency key.
select outcome
from holdfast.raise_budget(%(tenant)s, %(id)s, %(owner)s, %(more)s, %(reason)s, %(by)s, %(scope)s, %(key)s, %(request)s)
