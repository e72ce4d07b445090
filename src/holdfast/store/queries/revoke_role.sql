-- Takes a role from a principal.
select holdfast.revoke_role(%(tenant)s, %(principal)s, %(role)s, %(by)s)
