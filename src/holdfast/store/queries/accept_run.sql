-- Accepts a run, with its first event, content and idempotency key.
select outcome, run from holdfast.accept_run(%(tenant)s, %(run)s, %(task)s, %(task_version)s, %(session)s, %(principal)s,
  %(subject)s, %(parent)s, %(priority)s::int, %(at)s, %(body)s, %(hash)s, %(digests)s::bytea[], %(bodies)s::bytea[],
  %(scope)s, %(key)s, %(request)s, %(shared)s)
