-- What the first request with an idempotency key made, if one came.
select outcome, made from holdfast.accepted_before(%(tenant)s, %(scope)s, %(key)s, %(request)s)
