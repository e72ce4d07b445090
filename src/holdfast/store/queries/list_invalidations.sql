-- Invalidations of a session, oldest first: all, or those in force.
select id, run, first, last, messages, reason_digest, reason, by, at, lifted_at, lifted_by, lifted_digest, lifted_reason
from holdfast.invalidations
where tenant = %(tenant)s and session = %(session)s and (not %(in_force)s or lifted_at is null)
order by at, id
