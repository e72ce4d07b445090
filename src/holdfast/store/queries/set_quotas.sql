-- Sets what a tenant may have at most, for the platform.
select holdfast.set_quotas(%(tenant)s, %(principals)s, %(runs)s, %(bytes)s, %(by)s)
