-- Takes in what a token says of somebody.
select holdfast.log_in(%(tenant)s, %(new)s, %(issuer)s, %(subject)s, %(kind)s, %(name)s, %(email)s, %(roles)s, %(issued_at)s)
