-- Scopes this transaction to one tenant.
select set_config('holdfast.tenant', %(tenant)s, true)
