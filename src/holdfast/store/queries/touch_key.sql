-- Notes that an API key was used.
select holdfast.touch_key(%(tenant)s, %(key)s)
