-- Creates a principal with its roles. See 14_identity.sql for the outcomes, as for all that change identities.
select holdfast.create_principal(%(tenant)s, %(principal)s, %(kind)s, %(name)s, %(email)s, %(roles)s, %(by)s,
  %(scope)s, %(key)s, %(request)s)
