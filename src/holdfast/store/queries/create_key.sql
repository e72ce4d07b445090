-- Creates an API key; only its digest is known here. Perhaps in place of another.
select holdfast.create_key(%(tenant)s, %(id)s, %(principal)s, %(name)s, %(digest)s, %(scopes)s, %(expires_at)s, %(by)s,
  %(replaces)s, %(overlap_until)s, %(scope)s, %(key)s, %(request)s)
