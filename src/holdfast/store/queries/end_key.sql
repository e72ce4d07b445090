-- Ends an API key: at once where no time is given.
select holdfast.end_key(%(tenant)s, %(key)s, %(at)s, %(by)s)
