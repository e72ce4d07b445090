-- Deletes a session and tells its live runs to stop.
select outcome, told from holdfast.delete_session(%(tenant)s, %(session)s, %(only)s, %(by)s)
