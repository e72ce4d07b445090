-- Declares a stop; returns once no intent that it covers can commit any more. Answers the one in force, and whether it is new.
select halt, is_new
from holdfast.declare_halt(%(tenant)s, %(id)s, %(scope)s, %(key)s, %(reason)s, %(by)s, %(authority)s,
                           %(for_s)s::double precision)
