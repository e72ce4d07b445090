-- Accepts a run, with its first event, content and idempotency key. The tenant is set in the statement itself, one round
-- trip and one message in all: the function's argument comes from the setting, so it is set first.
select a.outcome, a.run, a.accepted_at
from set_config('holdfast.tenant', %(tenant)s::text, true) as s,
  lateral holdfast.accept_run(s::uuid, %(run)s, %(task)s, %(task_version)s, %(session)s, %(principal)s,
    %(subject)s, %(parent)s, %(priority)s::int, %(at)s, %(body)s, %(hash)s, %(digests)s::bytea[], %(bodies)s::bytea[],
    %(scope)s, %(key)s, %(request)s, %(shared)s, %(requested_by)s) as a
