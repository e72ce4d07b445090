-- Lifts an invalidation.
select holdfast.lift_invalidation(%(tenant)s, %(session)s, %(only)s, %(id)s, %(digest)s, %(reason)s, %(by)s)
