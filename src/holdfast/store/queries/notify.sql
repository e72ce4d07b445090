-- Several hints in one statement, in a transaction that writes nothing.
select pg_notify(%(channel)s, payload) from unnest(%(payloads)s::text[]) as payload
