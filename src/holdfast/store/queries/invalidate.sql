-- Marks messages of a session as no longer to be given to the model.
select holdfast.invalidate(%(tenant)s, %(session)s, %(only)s, %(id)s, %(run)s, %(first)s::int, %(last)s::int, %(messages)s,
  %(digest)s, %(reason)s, %(by)s)
