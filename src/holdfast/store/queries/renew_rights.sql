-- Whom a run is for, as they stand now, once its rights have changed or its claims are old.
select kind, name, disabled, roles, claims_age_s from holdfast.renew_rights(%(tenant)s, %(run)s, %(worker)s, %(epoch)s)
