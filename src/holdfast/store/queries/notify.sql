-- Several hints in one statement, in a transaction that writes nothing. PostgreSQL gives it a commit record all the same,
-- and tells the listeners only when that is on disk: a hint is not worth the wait.
select pg_notify($1::text, payload) from set_config('synchronous_commit', 'off', true), unnest($2::text[]) as payload
