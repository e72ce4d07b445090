-- Lifts a stop, if it is of those that the caller may lift.
select holdfast.lift_halt(%(tenant)s, %(id)s, %(by)s, %(authority)s, %(only)s::text)
