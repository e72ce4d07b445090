-- Renews a lease and says which runs of the worker need attention. The first row says whether the lease holds.
select ok, kind, tenant, run, inbox_seq, cancelling from holdfast.renew_lease(%(worker)s, %(holding)s)
