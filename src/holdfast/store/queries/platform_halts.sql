-- What the platform has halted, in whichever tenant, newest first; one of them where an id is given.
select tenant, id, scope, key, reason, by, authority, at, expires_at, lifted_at, lifted_by, freed_at
from holdfast.platform_halts(%(id)s::uuid, %(limit)s)
