-- Sets the limits of a tenant's runs: all of them, or, where some are named to be dropped, only what changes.
select holdfast.set_ceilings(%(tenant)s, %(put)s, %(drop)s, %(by)s)
