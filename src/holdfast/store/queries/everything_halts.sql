-- The halts in force of everything, for any tenant: they hold it back too.
select tenant, id, scope, key, reason, by, authority, at, expires_at, lifted_at, lifted_by, freed_at
from holdfast.everything_halts(%(tenant)s)
