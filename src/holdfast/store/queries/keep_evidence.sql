-- Keeps what a tenant that is being deleted had, for the platform.
select holdfast.keep_evidence(%(tenant)s, %(count)s, %(heads)s)
