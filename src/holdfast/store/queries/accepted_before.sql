-- What an idempotency key came with before, if it did.
select outcome, run from holdfast.accepted_before(%(tenant)s, %(scope)s, %(key)s, %(request)s)
