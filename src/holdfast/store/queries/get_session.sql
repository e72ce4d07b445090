-- One session.
select tenant, id, subject, principal, last_run, created_at from holdfast.sessions
where tenant = %(tenant)s and id = %(session)s
