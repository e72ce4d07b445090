-- Declares a stop; returns once no intent that it covers can commit any more. False when it was in force already.
select holdfast.declare_halt(%(tenant)s, %(scope)s, %(key)s, %(reason)s, %(by)s)
