-- The principal that an issuer calls by this subject, as it stands now, in the tenant of this name.
select tenant, issued_at, principal, kind, name, disabled, roles
from holdfast.find_identity(%(name)s, %(issuer)s, %(subject)s)
