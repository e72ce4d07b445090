-- The halts in force, for a worker, which says in the same round trip what it knows of some of them.
select tenant, id, scope, key from holdfast.watch_halts(%(worker)s, %(acks)s)
