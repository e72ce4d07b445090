-- Gives a principal a role.
select holdfast.grant_role(%(tenant)s, %(principal)s, %(role)s, %(by)s)
