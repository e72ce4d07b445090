-- Disables a principal, or enables it again.
select holdfast.set_disabled(%(tenant)s, %(principal)s, %(disabled)s, %(by)s)
