-- Creates a tenant with its first administrator and that one's key, for the platform.
select holdfast.found_tenant(%(id)s, %(name)s, %(admin)s, %(admin_name)s, %(key_id)s, %(key_name)s, %(digest)s, %(by)s,
  %(scope)s, %(key)s, %(request)s)
