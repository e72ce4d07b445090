-- One session; where `only` is given, only if it is that principal's.
select tenant, id, subject, principal, last_run, created_at, deleted_at from holdfast.sessions
where tenant = %(tenant)s and id = %(session)s and (%(only)s::text is null or principal = %(only)s)
