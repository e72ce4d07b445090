-- Notes in a tenant's audit log what was done.
select holdfast.note(%(tenant)s, %(actor)s, %(action)s, %(target)s, %(details)s)
