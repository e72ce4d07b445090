-- Sets what a tenant may have at most, for the platform: all quotas, or only those that are named.
select holdfast.set_quotas(%(tenant)s, %(principals)s, %(runs)s, %(bytes)s, %(only)s, %(by)s)
