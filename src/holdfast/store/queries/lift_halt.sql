-- Lifts a stop. False when none was in force.
select holdfast.lift_halt(%(tenant)s, %(scope)s, %(key)s)
