-- Whom a run is for, as they stand now, once its rights have changed.
select kind, name, disabled, roles from holdfast.renew_rights(%(tenant)s, %(run)s, %(worker)s, %(epoch)s)
