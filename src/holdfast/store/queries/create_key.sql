-- Creates an API key; only its digest is known here.
select holdfast.create_key(%(tenant)s, %(key)s, %(principal)s, %(name)s, %(digest)s, %(scopes)s, %(expires_at)s, %(by)s)
