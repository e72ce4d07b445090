-- Begins a session.
select holdfast.create_session(%(tenant)s, %(session)s, %(principal)s, %(subject)s)
