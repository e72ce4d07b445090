-- Whom a run is for, as they stand now, and its tenant's limits, once either has changed or its claims are old.
select kind, name, disabled, roles, claims_age_s, ceilings
from holdfast.renew_rights(%(tenant)s, %(run)s, %(worker)s, %(epoch)s)
